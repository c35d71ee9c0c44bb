"""In: raw files, fetched, packaged or a user's own. Out: datasets/<dataset>.zarr, one schema for all."""


rule prepare_dataset:
    """Bring the raw files of one dataset into the schema that everything downstream reads.

    Before anything else, so that what is wrong with data is said before hours of meta-training.
    """
    output:
        store=directory("<results>/datasets/{dataset}.zarr"),
        manifest="<results>/datasets/{dataset}.manifest.json",
    log:
        "<logs>/prepare_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/prepare_dataset/{dataset}.tsv"
    priority: 1
    resources:
        **growing(PREPARING),
    params:
        spec=lambda w: canonical_json(settings.datasets[w.dataset]),
        # The job also checks that episodes can be drawn, which changes nothing of the store.
        code=lambda w: code(
            "prepare_dataset",
            settings.datasets[w.dataset].module,
            checks=("metaplastic.few_shot",),
        ),
        # No input: for Snakemake braces in a path are wildcards, and a file that is replaced by an older one is not news.
        held=lambda w: planned(of_files, planned(own_files, settings, w.dataset)),
        # Where raw files come from changes no result. A function of `threads` has no part in rerun decisions.
        raw=lambda w, threads: [
            "--cache",
            settings.data.cache,
            *(["--mirror", settings.data.mirror] if settings.data.mirror else []),
        ],
        # What studies ask of the data changes no result either; without this check an evaluation would fail much later.
        asked=lambda w, threads: plan.dataset_checks(w.dataset),
    shell:
        """
        python -m metaplastic.stages.prepare_dataset --name {wildcards.dataset} --spec {params.spec:q} \
            --code {params.code} {params.raw:q} {params.asked:q} --output {output.store:q} 2>&1 | tee {log:q}
        """


rule datasets:
    """Target: every dataset of the studies that are run."""
    input:
        lambda w: dataset_stores(of_studies(lambda study: plan.study(study).datasets)),
