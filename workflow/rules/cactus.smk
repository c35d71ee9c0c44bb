"""In: features and datasets. Out: partitions/, and the learners/ that they train."""


rule partition:
    """Partition a dataset into the classes of pseudo-tasks, most kinds by clusters of an embedding."""
    input:
        data=lambda w: plan.parted(w.partitioned, w.dataset),
        data_manifest=lambda w: manifests([plan.parted(w.partitioned, w.dataset)]),
    output:
        store=directory("<results>/partitions/{partitioned}/{dataset}.zarr"),
        manifest="<results>/partitions/{partitioned}/{dataset}.manifest.json",
    log:
        "<logs>/partition/{partitioned}/{dataset}.log",
    benchmark:
        "<benchmarks>/partition/{partitioned}/{dataset}.tsv"
    resources:
        **growing(OTHERS),
    params:
        name=lambda w: PurePath(w.partitioned).name,
        spec=lambda w: canonical_json(plan.partition(w.partitioned)),
        code=lambda w: code("partition", plan.partition(w.partitioned).module),
    shell:
        """
        python -m metaplastic.stages.partition --name {params.name} --spec {params.spec:q} --code {params.code} \
            --data {input.data:q} --output {output.store:q} 2>&1 | tee {log:q}
        """


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
        name=lambda w: plan.learners[w.learner_run],
        spec=lambda w: canonical_json(settings.learners[plan.learners[w.learner_run]]),
        code=lambda w: code(
            "meta_learn",
            *plan.learned_by(w.learner_run, w.partitioned),
        ),
        trained_by=lambda w: planned(
            source.of_state,
            "metaplastic.few_shot.rounds",
            *plan.learned_by(w.learner_run, w.partitioned),
        ),
    shell:
        """
        python -m metaplastic.stages.meta_learn --name {params.name} --spec {params.spec:q} --code {params.code} \
            --trained-by {params.trained_by} --dataset {input.dataset:q} --partitions {input.partitions:q} \
            --snapshots {output.snapshots:q} --history {output.history:q} --devices 2 2>&1 | tee {log:q}
        """
