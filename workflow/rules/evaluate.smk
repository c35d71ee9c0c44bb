"""In: features, datasets, trained learners. Out: the summary and the tables of each study, and evaluations/ behind them."""


rule evaluate_few_shot:
    """Score the features that a study compares by readouts that few labels fit, and gather the accuracies.

    The folder `evaluations` is not an output, so it outlives the job and the next one makes only what has changed.
    """
    input:
        stores=lambda wildcards: inputs_of_evaluations(wildcards.study),
        manifests=lambda wildcards: manifests(inputs_of_evaluations(wildcards.study)),
    output:
        summary="<results>/studies/{study}/summary.nc",
        table="<results>/studies/{study}/table.md",
        first="<results>/studies/{study}/table.csv",
        page=report(
            "<results>/studies/{study}/table.html",
            caption="../report/table.rst",
            category="Table",
            labels={"study": "{study}"},
        ),
    log:
        "<logs>/evaluate_few_shot/{study}.log",
    benchmark:
        "<benchmarks>/evaluate_few_shot/{study}.tsv"
    wildcard_constraints:
        study=one_of(plan.studies(of_learners=False)),
    threads: lambda wildcards: threads_of_evaluations(wildcards.study)
    resources:
        mem_mb=growing(SMALL["mem_mb"]),
        runtime=growing(SMALL["runtime"]),
    params:
        evaluations=evaluations_folder,
        spec=lambda wildcards: canonical_json(
            plan.study(wildcards.study).few_shot or settings.few_shot
        ),
        code=lambda wildcards: code("evaluate_few_shot"),
        scored_by=lambda wildcards: planned(
            source.of_state, "metaplastic.few_shot.readout_accuracy"
        ),
        features=lambda wildcards: [
            f"--features={evaluation.place}={of_results(evaluation.data)}"
            for evaluation in planned(plan.evaluations, wildcards.study)
        ],
    shell:
        """
        python -m metaplastic.stages.evaluate_few_shot --study {wildcards.study} --spec {params.spec:q} \
            --code {params.scored_by} {params.features:q} --evaluations {params.evaluations:q} \
            --output {output.summary:q} --table {output.table:q} --page {output.page:q} --first {output.first:q} \
            --cores {threads} 2>&1 | tee {log:q}
        """


rule evaluate_episodes:
    """Score the learners of a study on the episodes that they share, and gather the accuracies; see above."""
    input:
        stores=lambda wildcards: inputs_of_evaluations(wildcards.study),
        manifests=lambda wildcards: manifests(inputs_of_evaluations(wildcards.study)),
    output:
        summary="<results>/studies/{study}/summary.nc",
        table="<results>/studies/{study}/table.md",
        page=report(
            "<results>/studies/{study}/table.html",
            caption="../report/table.rst",
            category="Table",
            labels={"study": "{study}"},
        ),
    log:
        "<logs>/evaluate_episodes/{study}.log",
    benchmark:
        "<benchmarks>/evaluate_episodes/{study}.tsv"
    wildcard_constraints:
        study=one_of(plan.studies(of_learners=True)),
    threads: lambda wildcards: threads_of_evaluations(wildcards.study)
    resources:
        mem_mb=growing(OTHERS["mem_mb"]),
        runtime=growing(OTHERS["runtime"]),
    params:
        evaluations=evaluations_folder,
        spec=lambda wildcards: canonical_json(
            plan.study(wildcards.study).episodes or settings.episodes
        ),
        code=lambda wildcards: code(
            "evaluate_episodes", *plan.learner_modules(wildcards.study)
        ),
        learners=lambda wildcards: [
            f"--learner={scored(evaluation)}"
            for evaluation in planned(plan.evaluations, wildcards.study)
        ],
    shell:
        """
        python -m metaplastic.stages.evaluate_episodes --study {wildcards.study} --spec {params.spec:q} \
            {params.learners:q} --evaluations {params.evaluations:q} --output {output.summary:q} \
            --table {output.table:q} --page {output.page:q} --cores {threads} 2>&1 | tee {log:q}
        """


rule evaluate:
    """Target: the tables and summaries of the studies that are run."""
    input:
        lambda wildcards: of_studies(plan.tables),
