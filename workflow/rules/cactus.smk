rule partition:
    """Cluster an embedding into the classes of pseudo-tasks."""
    input:
        features="<results>/features/{representation}/{dataset}.zarr",
        features_manifest="<results>/features/{representation}/{dataset}.manifest.json",
        dataset="<results>/datasets/{dataset}.zarr",
        dataset_manifest="<results>/datasets/{dataset}.manifest.json",
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
        partition=one_of(plan.partition_kinds(of_features=True)),
    resources:
        mem_mb=growing(OTHERS["mem_mb"]),
        runtime=growing(OTHERS["runtime"]),
    params:
        spec=lambda wildcards: canonical_json(settings.partitions[wildcards.partition]),
        code=lambda wildcards: code("partition"),
        features=lambda wildcards, input: ["--features", input.features],
    shell:
        """
        python -m metaplastic.stages.partition --name {wildcards.partition} --spec {params.spec:q} --code {params.code} \
            --dataset {input.dataset:q} {params.features:q} --output {output.store:q} 2>&1 | tee {log:q}
        """


use rule partition as partition_dataset with:
    # Of kinds that look at no features.
    input:
        dataset="<results>/datasets/{dataset}.zarr",
        dataset_manifest="<results>/datasets/{dataset}.manifest.json",
    output:
        store=directory("<results>/partitions/{partition}/{dataset}.zarr"),
        manifest="<results>/partitions/{partition}/{dataset}.manifest.json",
    log:
        "<logs>/partition/{partition}/{dataset}.log",
    benchmark:
        "<benchmarks>/partition/{partition}/{dataset}.tsv"
    wildcard_constraints:
        partition=one_of(plan.partition_kinds(of_features=False)),
    params:
        spec=lambda wildcards: canonical_json(settings.partitions[wildcards.partition]),
        code=lambda wildcards: code("partition"),
        features=[],


rule meta_learn:
    """Train a few-shot learner on pseudo-tasks.

    The folder `state` beside the outputs is none of them, so that it outlives a failed job and the next one goes on.
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
    resources:
        mem_mb=growing(OTHERS["mem_mb"]),
        runtime=growing(OTHERS["runtime"]),
    params:
        name=lambda wildcards: plan.learners[wildcards.learner_run],
        spec=lambda wildcards: canonical_json(
            settings.learners[plan.learners[wildcards.learner_run]]
        ),
        code=lambda wildcards: code(
            "meta_learn", plan.learner_module(plan.learners[wildcards.learner_run])
        ),
        trained_by=lambda wildcards: planned(
            plan.state_code,
            "few_shot.learners.meta_learning",
            plan.learner_module(plan.learners[wildcards.learner_run]),
        ),
    shell:
        """
        python -m metaplastic.stages.meta_learn --name {params.name} --spec {params.spec:q} --code {params.code} \
            --trained-by {params.trained_by} --dataset {input.dataset:q} --partitions {input.partitions:q} \
            --snapshots {output.snapshots:q} --history {output.history:q} 2>&1 | tee {log:q}
        """


rule evaluate_on_images:
    """Accuracy on episodes of a learner that takes images and is not trained before."""
    input:
        dataset="<results>/datasets/{dataset}.zarr",
        dataset_manifest="<results>/datasets/{dataset}.manifest.json",
    output:
        "<results>/studies/{study}/episodes/{learner}/{dataset}.nc",
    log:
        "<logs>/evaluate_episodes/{study}/{learner}/{dataset}.log",
    benchmark:
        "<benchmarks>/evaluate_episodes/{study}/{learner}/{dataset}.tsv"
    wildcard_constraints:
        learner=one_of(plan.other_learners(of_images=True)),
    resources:
        mem_mb=growing(OTHERS["mem_mb"]),
        runtime=growing(OTHERS["runtime"]),
    params:
        learner=lambda wildcards: canonical_json(settings.learners[wildcards.learner]),
        spec=lambda wildcards: canonical_json(
            plan.study(wildcards.study).episodes or settings.episodes
        ),
        code=lambda wildcards: code(
            "evaluate_episodes", plan.learner_module(wildcards.learner)
        ),
        learned=[],
    shell:
        """
        python -m metaplastic.stages.evaluate_episodes --name {wildcards.learner} --learner {params.learner:q} \
            --spec {params.spec:q} --code {params.code} --dataset {input.dataset:q} {params.learned:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """


use rule evaluate_on_images as evaluate_on_features with:
    input:
        dataset="<results>/datasets/{dataset}.zarr",
        dataset_manifest="<results>/datasets/{dataset}.manifest.json",
        features="<results>/features/{representation}/{dataset}.zarr",
        features_manifest="<results>/features/{representation}/{dataset}.manifest.json",
    output:
        "<results>/studies/{study}/episodes/{learner}/{representation}/{dataset}.nc",
    log:
        "<logs>/evaluate_episodes/{study}/{learner}/{representation}/{dataset}.log",
    benchmark:
        "<benchmarks>/evaluate_episodes/{study}/{learner}/{representation}/{dataset}.tsv"
    wildcard_constraints:
        learner=one_of(plan.other_learners(of_images=False)),
    params:
        learner=lambda wildcards: canonical_json(settings.learners[wildcards.learner]),
        spec=lambda wildcards: canonical_json(
            plan.study(wildcards.study).episodes or settings.episodes
        ),
        code=lambda wildcards: code(
            "evaluate_episodes", plan.learner_module(wildcards.learner)
        ),
        learned=lambda wildcards, input: ["--features", input.features],


use rule evaluate_on_images as evaluate_meta_learned with:
    input:
        dataset="<results>/datasets/{dataset}.zarr",
        dataset_manifest="<results>/datasets/{dataset}.manifest.json",
        snapshots=lambda wildcards: plan.snapshots(**wildcards),
        snapshots_manifest=lambda wildcards: manifests([plan.snapshots(**wildcards)]),
    output:
        "<results>/studies/{study}/episodes/{learner}/{partitioned}/{dataset}.nc",
    log:
        "<logs>/evaluate_episodes/{study}/{learner}/{partitioned}/{dataset}.log",
    benchmark:
        "<benchmarks>/evaluate_episodes/{study}/{learner}/{partitioned}/{dataset}.tsv"
    wildcard_constraints:
        learner=one_of(plan.meta_learners()),
    params:
        learner=lambda wildcards: canonical_json(settings.learners[wildcards.learner]),
        spec=lambda wildcards: canonical_json(
            plan.study(wildcards.study).episodes or settings.episodes
        ),
        code=lambda wildcards: code(
            "evaluate_episodes", plan.learner_module(wildcards.learner)
        ),
        learned=lambda wildcards, input: ["--snapshots", input.snapshots],


rule summarise_episodes:
    """Gather the accuracies on episodes of a study into one file and one table."""
    input:
        lambda wildcards: planned(plan.episodes, wildcards.study),
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
        "<logs>/summarise_episodes/{study}.log",
    benchmark:
        "<benchmarks>/summarise_episodes/{study}.tsv"
    wildcard_constraints:
        study=one_of(plan.studies(of_learners=True)),
    resources:
        mem_mb=growing(SMALL["mem_mb"]),
        runtime=growing(SMALL["runtime"]),
    params:
        code=lambda wildcards: code("summarise"),
    shell:
        """
        python -m metaplastic.stages.summarise --output {output.summary:q} --table {output.table:q} \
            --page {output.page:q} --study {wildcards.study} {input:q} 2>&1 | tee {log:q}
        """


rule episodes:
    """Target: the accuracies on episodes of every learner of the studies that are run."""
    input:
        lambda wildcards: of_studies(plan.episodes),
