learned = [method for method in settings.study.rules if theta_files(method)]
images = [
    name
    for name in settings.study.datasets
    if settings.datasets[name].modality == "image"
]

# What each figure is drawn from; some have nothing to show in a study without update rules, or meta-trained ones.
histories = [f"{folder}/history.zarr" for folder in run_folders(learned)]
figures = {
    "meta_training_curves": histories,
    "accuracy_over_compute": histories if len(histories) > 1 else [],
    "few_shot_bars": ["<results>/summary.nc"],
    "accuracy_over_inner_steps": (
        ["<results>/summary.nc"] if settings.study.rules else []
    ),
    "first_layer_filters": feature_stores(learned, images),
}
figures = {name: inputs for name, inputs in figures.items() if inputs}


rule draw_figure:
    """Draw one figure from results."""
    input:
        data=lambda wildcards: figures[wildcards.figure],
        manifests=lambda wildcards: manifests(
            store for store in figures[wildcards.figure] if store.endswith(".zarr")
        ),
    output:
        svg=report(
            "<results>/figures/{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        png="<results>/figures/{figure}.png",
    log:
        "<logs>/draw_figure/{figure}.log",
    benchmark:
        "<benchmarks>/draw_figure/{figure}.tsv"
    wildcard_constraints:
        figure=one_of(figures),
    params:
        code=lambda wildcards: code("draw_figure", f"figures.{wildcards.figure}"),
    shell:
        """
        python -m rules_src.stages.draw_figure --figure {wildcards.figure} \
            --output {output.svg:q} --output {output.png:q} {input.data:q} 2>&1 | tee {log:q}
        """


rule figures:
    """Target: every figure."""
    input:
        expand(
            "<results>/figures/{figure}.{suffix}",
            figure=figures,
            suffix=["svg", "png"],
        ),
