"""In: the summaries of all experiments. Out: comparison.md and .html, each claim of Metz et al. 2019 with a verdict."""

from metaplastic.results.spec import EXPERIMENTS
from workflow.plan_experiments import compared_features, experiments, studies_of


rule compare:
    """Hold what Metz et al. 2019 found against what the studies that are run find."""
    input:
        summaries=lambda w: [
            plan.tables(study)[0] for study in planned(studies_of, plan)
        ],
        features=lambda w: planned(compared_features, plan),
        manifests=lambda w: manifests(planned(compared_features, plan)),
    output:
        table="<results>/comparison.md",
        page=report(
            "<results>/comparison.html",
            caption="../report/comparison.rst",
            category="Comparison with Metz et al. 2019",
        ),
    log:
        "<logs>/compare.log",
    benchmark:
        "<benchmarks>/compare.tsv"
    resources:
        **growing(SMALL),
    params:
        code=lambda w: code("compare"),
        summaries=lambda w, input: [
            f"--summary={experiment}={path}"
            for experiment, path in zip(planned(experiments, plan), input.summaries)
        ],
        features=lambda w, input: [
            f"--features=how-it-learns={path}" for path in input.features
        ],
        # How it is called changes no result; a function of `threads` has no part in rerun decisions.
        configured=lambda w, threads: config_options(),
    shell:
        """
        python -m metaplastic.stages.compare --table {output.table:q} --page {output.page:q} {params.summaries:q} \
            {params.features:q} {params.configured:q} 2>&1 | tee {log:q}
        """


rule comparison:
    """Target: the experiments among the studies that are run, held against the paper."""
    input:
        "<results>/comparison.md",
        "<results>/comparison.html",
