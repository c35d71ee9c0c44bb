"""In: features, datasets, trained learners. Out: the summary and the tables of each study, and evaluations/ behind them."""


rule evaluate_few_shot:
    """Score the features that a study compares by readouts that few labels fit, and gather the accuracies.

    The folder `evaluations` is not an output, so it outlives the job and the next one makes only what has changed.
    """
    input:
        stores=lambda w: planned(evaluated, plan, w.study),
        manifests=lambda w: manifests(planned(evaluated, plan, w.study)),
    output:
        summary="<results>/studies/{study}/summary.nc",
        table="<results>/studies/{study}/table.md",
        first="<results>/studies/{study}/table.csv",
        page=report(
            "<results>/studies/{study}/table.html",
            caption="../report/table.rst",
            category="Study {study}",
            labels={"shows": "table"},
        ),
    log:
        "<logs>/evaluate/{study}.log",
    benchmark:
        "<benchmarks>/evaluate/{study}.tsv"
    wildcard_constraints:
        study=one_of(plan.studies(of_learners=False)),
    # A second core is worth another process where there is much to do.
    threads: lambda w: len(planned(evaluations, plan, w.study)) // 20 + 1
    resources:
        **growing(OTHERS),
    params:
        spec=lambda w: canonical_json(plan.protocol(w.study)),
        module=lambda w: planned(evaluated_by, plan, w.study)[0],
        code=lambda w: code("evaluate", *planned(evaluated_by, plan, w.study)),
        evaluations=lambda w: planned(options_of, plan, w.study, source.of_state),
        folder=lambda w, output: Path(output.summary).parent / "evaluations",
        first=lambda w, output: [
            f"--first={path}" for path in [output.get("first")] if path
        ],
    shell:
        """
        python -m metaplastic.stages.evaluate --study {wildcards.study} --spec {params.spec:q} \
            --module {params.module} {params.evaluations:q} --evaluations {params.folder:q} \
            --output {output.summary:q} --table {output.table:q} --page {output.page:q} {params.first:q} \
            --cores {threads} 2>&1 | tee {log:q}
        """


use rule evaluate_few_shot as evaluate_episodes with:
    # Learners, on episodes that they share.
    output:
        summary="<results>/studies/{study}/summary.nc",
        table="<results>/studies/{study}/table.md",
        page=report(
            "<results>/studies/{study}/table.html",
            caption="../report/table.rst",
            category="Study {study}",
            labels={"shows": "table"},
        ),
    wildcard_constraints:
        study=one_of(plan.studies(of_learners=True)),


rule evaluate:
    """Target: the tables and summaries of the studies that are run."""
    input:
        lambda w: of_studies(plan.tables),
