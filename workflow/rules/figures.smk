rule draw_figure:
    """Draw one figure of a study from results."""
    input:
        data=lambda wildcards: figure_paths(wildcards),
        manifests=lambda wildcards: manifests(
            path for path in figure_paths(wildcards) if path.endswith(".zarr")
        ),
    output:
        svg=report(
            "<results>/studies/{study}/figures/{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={"study": "{study}", "figure": "{figure}"},
        ),
        png="<results>/studies/{study}/figures/{figure}.png",
    log:
        "<logs>/draw_figure/{study}/{figure}.log",
    benchmark:
        "<benchmarks>/draw_figure/{study}/{figure}.tsv"
    wildcard_constraints:
        figure=one_of(plan.figure_modules()),
    resources:
        mem_mb=growing(SMALL["mem_mb"]),
        runtime=growing(SMALL["runtime"]),
    params:
        code=lambda wildcards: code("draw_figure", f"figures.{wildcards.figure}"),
        data=lambda wildcards, input: figure_options(wildcards, input.data),
        # For the report alone; a function of `threads` has no part in rerun decisions.
        caption=lambda wildcards, threads: planned(
            declared, plan.package, wildcards.figure
        ).caption,
    shell:
        """
        python -m metaplastic.stages.draw_figure --figure {wildcards.figure} \
            --output {output.svg:q} --output {output.png:q} {params.data:q} 2>&1 | tee {log:q}
        """


rule figures:
    """Target: every figure of the studies that are run."""
    input:
        lambda wildcards: of_studies(plan.figure_files),
