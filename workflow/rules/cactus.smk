"""In: features and datasets. Out: partitions/, and the learners/ that they train."""


rule partition:
    """Cluster an embedding into the classes of pseudo-tasks."""
    input:
        data="<results>/features/{representation}/{dataset}.zarr",
        data_manifest="<results>/features/{representation}/{dataset}.manifest.json",
    output:
        store=directory(
            "<results>/partitions/{representation}/{partition}/{dataset}.zarr"
        ),
        manifest="<results>/partitions/{representation}/{partition}/{dataset}.manifest.json",
    log:
        "<logs>/partition/{representation}/{partition}/{dataset}.log",
    benchmark:
        "<benchmarks>/partition/{representation}/{partition}/{dataset}.tsv"
    wildcard_constraints:
        partition=one_of(
            name for name, spec in settings.partitions.items() if spec.needs_features
        ),
    resources:
        **growing(OTHERS),
    params:
        spec=lambda wildcards: canonical_json(settings.partitions[wildcards.partition]),
        code=lambda wildcards: code(
            "partition", settings.partitions[wildcards.partition].module
        ),
    shell:
        """
        python -m metaplastic.stages.partition --name {wildcards.partition} --spec {params.spec:q} --code {params.code} \
            --data {input.data:q} --output {output.store:q} 2>&1 | tee {log:q}
        """


use rule partition as partition_dataset with:
    # For kinds that take no features.
    input:
        data="<results>/datasets/{dataset}.zarr",
        data_manifest="<results>/datasets/{dataset}.manifest.json",
    output:
        store=directory("<results>/partitions/{partition}/{dataset}.zarr"),
        manifest="<results>/partitions/{partition}/{dataset}.manifest.json",
    log:
        "<logs>/partition/{partition}/{dataset}.log",
    benchmark:
        "<benchmarks>/partition/{partition}/{dataset}.tsv"
    wildcard_constraints:
        partition=one_of(
            name
            for name, spec in settings.partitions.items()
            if not spec.needs_features
        ),


rule meta_learn:
    """Train a few-shot learner on pseudo-tasks.

    The folder `state` beside the outputs is not an output, so it outlives a failed job and the next one goes on from it.
    """
    input:
        dataset="<results>/datasets/{dataset}.zarr",
        dataset_manifest="<results>/datasets/{dataset}.manifest.json",
        partitions="<results>/partitions/{partitioned}/{dataset}.zarr",
        partitions_manifest="<results>/partitions/{partitioned}/{dataset}.manifest.json",
    output:
        snapshots=directory(
            "<results>/learners/{learner_run}/{partitioned}/{dataset}/snapshots"
        ),
        snapshots_manifest="<results>/learners/{learner_run}/{partitioned}/{dataset}/snapshots.manifest.json",
        history=directory(
            "<results>/learners/{learner_run}/{partitioned}/{dataset}/history.zarr"
        ),
        history_manifest="<results>/learners/{learner_run}/{partitioned}/{dataset}/history.manifest.json",
    log:
        "<logs>/meta_learn/{learner_run}/{partitioned}/{dataset}.log",
    benchmark:
        "<benchmarks>/meta_learn/{learner_run}/{partitioned}/{dataset}.tsv"
    threads: lambda w: settings.learners[plan.learners[w.learner_run]].cores
    resources:
        **growing(OTHERS),
    params:
        name=lambda wildcards: plan.learners[wildcards.learner_run],
        spec=lambda wildcards: canonical_json(
            settings.learners[plan.learners[wildcards.learner_run]]
        ),
        code=lambda wildcards: code(
            "meta_learn",
            *plan.learned_by(wildcards.learner_run, wildcards.partitioned),
        ),
        trained_by=lambda wildcards: planned(
            source.of_state,
            "metaplastic.few_shot.rounds",
            *plan.learned_by(wildcards.learner_run, wildcards.partitioned),
        ),
    shell:
        """
        python -m metaplastic.stages.meta_learn --name {params.name} --spec {params.spec:q} --code {params.code} \
            --trained-by {params.trained_by} --dataset {input.dataset:q} --partitions {input.partitions:q} \
            --snapshots {output.snapshots:q} --history {output.history:q} --devices 2 2>&1 | tee {log:q}
        """
