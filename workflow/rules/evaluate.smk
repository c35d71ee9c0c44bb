rule evaluate_few_shot:
    """Few-shot accuracy of one method's features on one dataset."""
    input:
        features="<results>/features/{base_model}/{method}/{dataset}.zarr",
        features_manifest="<results>/features/{base_model}/{method}/{dataset}.manifest.json",
        dataset="<results>/datasets/{dataset}.zarr",
        dataset_manifest="<results>/datasets/{dataset}.manifest.json",
    output:
        "<results>/evaluate/{base_model}/{method}/{dataset}.nc",
    log:
        "<logs>/evaluate_few_shot/{base_model}/{method}/{dataset}.log",
    benchmark:
        "<benchmarks>/evaluate_few_shot/{base_model}/{method}/{dataset}.tsv"
    params:
        spec=canonical_json(settings.few_shot),
        code=lambda wildcards: code("evaluate_few_shot"),
    shell:
        """
        python -m rules_src.stages.evaluate_few_shot --method {wildcards.method} --base-model {wildcards.base_model} \
            --spec {params.spec:q} --code {params.code} --features {input.features:q} --dataset {input.dataset:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """


rule summarise:
    """Gather every evaluation into one file and one table."""
    input:
        expand(
            "<results>/evaluate/{base_model}/{method}/{dataset}.nc",
            base_model=settings.study.base_models,
            method=methods,
            dataset=settings.study.datasets,
        ),
    output:
        summary="<results>/summary.nc",
        table=report(
            "<results>/table.md", caption="../report/table.rst", category="Table"
        ),
    log:
        "<logs>/summarise.log",
    benchmark:
        "<benchmarks>/summarise.tsv"
    params:
        code=lambda wildcards: code("summarise"),
    shell:
        """
        python -m rules_src.stages.summarise --output {output.summary:q} --table {output.table:q} \
            {input:q} 2>&1 | tee {log:q}
        """


rule evaluate:
    """Target: every evaluation, gathered."""
    input:
        rules.summarise.output,
