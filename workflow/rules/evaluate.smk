"""In: features. Out: studies/<study>/evaluate/, accuracies of readouts on few labels, and their summary and tables."""


rule evaluate_few_shot:
    """Score one method's features on one dataset by readouts that few labels fit."""
    input:
        features="<results>/features/{representation}/{dataset}.zarr",
        features_manifest="<results>/features/{representation}/{dataset}.manifest.json",
    output:
        "<results>/studies/{study}/evaluate/{representation}/{dataset}.nc",
    log:
        "<logs>/evaluate_few_shot/{study}/{representation}/{dataset}.log",
    benchmark:
        "<benchmarks>/evaluate_few_shot/{study}/{representation}/{dataset}.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        spec=lambda wildcards: canonical_json(
            plan.study(wildcards.study).few_shot or settings.few_shot
        ),
        code=lambda wildcards: code("evaluate_few_shot"),
    shell:
        """
        python -m metaplastic.stages.evaluate_few_shot --spec {params.spec:q} --code {params.code} \
            --features {input.features:q} --output {output:q} 2>&1 | tee {log:q}
        """


rule summarise:
    """Gather every evaluation of a study into one file and one table."""
    input:
        lambda wildcards: planned(plan.evaluations, wildcards.study),
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
        "<logs>/summarise/{study}.log",
    benchmark:
        "<benchmarks>/summarise/{study}.tsv"
    wildcard_constraints:
        study=one_of(plan.studies(of_learners=False)),
    resources:
        mem_mb=growing(SMALL["mem_mb"]),
        runtime=growing(SMALL["runtime"]),
    params:
        code=lambda wildcards: code("summarise"),
    shell:
        """
        python -m metaplastic.stages.summarise --output {output.summary:q} --table {output.table:q} \
            --page {output.page:q} --first {output.first:q} --study {wildcards.study} {input:q} 2>&1 | tee {log:q}
        """


rule evaluate:
    """Target: every evaluation of the studies that are run, gathered."""
    input:
        lambda wildcards: of_studies(plan.tables),
