rule prepare_dataset:
    """Bring the raw files of one dataset into the schema that everything downstream reads.

    Before anything else, so that what is wrong with data is said before hours of meta-training.
    """
    input:
        lambda wildcards: planned(plan.own_files, wildcards.dataset),
    output:
        store=directory("<results>/datasets/{dataset}.zarr"),
        manifest="<results>/datasets/{dataset}.manifest.json",
    log:
        "<logs>/prepare_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/prepare_dataset/{dataset}.tsv"
    priority: 1
    resources:
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        spec=lambda wildcards: canonical_json(settings.datasets[wildcards.dataset]),
        code=lambda wildcards: code(
            "prepare_dataset", plan.source_module(wildcards.dataset)
        ),
        # Where raw files come from changes no result; a function of `threads` has no part in rerun decisions.
        raw=lambda wildcards, threads: raw_folders(),
        # Nor does what is asked of it, which an evaluation would only say much later.
        asked=lambda wildcards, threads: plan.asked(wildcards.dataset),
    shell:
        """
        python -m metaplastic.stages.prepare_dataset --name {wildcards.dataset} --spec {params.spec:q} \
            --code {params.code} {params.raw:q} {params.asked:q} --output {output.store:q} 2>&1 | tee {log:q}
        """


rule datasets:
    """Target: every dataset of the studies that are run."""
    input:
        lambda wildcards: dataset_stores(
            of_studies(lambda study: plan.study(study).datasets)
        ),
