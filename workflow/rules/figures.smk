"""In: what a figure's module names in INPUTS. Out: studies/<study>/figures/<figure>.svg and .png."""


rule draw_figure:
    """Draw one figure of a study from results."""
    input:
        unpack(figure_inputs),
        manifests=lambda w: manifests(
            path
            for paths in figure_inputs(w).values()
            for path in paths
            if path.endswith(".zarr")
        ),
    output:
        svg=report(
            "<results>/studies/{study}/figures/{figure}.svg",
            caption="../report/figure.rst",
            category="Study {study}",
            labels={"shows": "{figure}"},
        ),
        png="<results>/studies/{study}/figures/{figure}.png",
    log:
        "<logs>/draw_figure/{study}/{figure}.log",
    benchmark:
        "<benchmarks>/draw_figure/{study}/{figure}.tsv"
    wildcard_constraints:
        figure=one_of(names(package)),
    resources:
        **growing(SMALL),
    params:
        code=lambda w: code("draw_figure", f"metaplastic.figures.{w.figure}"),
        data=lambda w, input: [
            f"--input={name}={path}"
            for name in figure_inputs(w)
            for path in input[name]
        ],
        # Only the report shows it; a function of `threads` has no part in rerun decisions.
        caption=lambda w, threads: planned(declared, package, w.figure).caption,
    shell:
        """
        python -m metaplastic.stages.draw_figure --figure {wildcards.figure} \
            --output {output.svg:q} --output {output.png:q} {params.data:q} 2>&1 | tee {log:q}
        """


rule figures:
    """Target: every figure of the studies that are run."""
    input:
        lambda w: of_studies(lambda study: files_of(plan, study)),
