rule meta_train_rule:
    """Meta-train an update rule on tasks of the sources that its section names.

    The folder `state` beside the outputs is none of them, so that it outlives a failed job and the next one goes on.
    """
    input:
        datasets=lambda wildcards: dataset_stores(run_datasets(wildcards.run)),
        manifests=lambda wildcards: manifests(
            dataset_stores(run_datasets(wildcards.run))
        ),
        start=lambda wildcards: start_of_run(wildcards.run),
    output:
        theta="<results>/meta_train/{run}/theta.safetensors",
        theta_manifest="<results>/meta_train/{run}/theta.manifest.json",
        history=directory("<results>/meta_train/{run}/history.zarr"),
        history_manifest="<results>/meta_train/{run}/history.manifest.json",
    log:
        "<logs>/meta_train_rule/{run}.log",
    benchmark:
        "<benchmarks>/meta_train_rule/{run}.tsv"
    threads: 2
    params:
        spec=lambda wildcards: canonical_json(settings.meta_train[runs[wildcards.run]]),
        code=lambda wildcards: code(
            "meta_train",
            f"update_rules.{settings.meta_train[runs[wildcards.run]].rule.module}",
        ),
        datasets=lambda wildcards, input: [
            f"--dataset={Path(store).stem}={store}" for store in input.datasets
        ],
        start=lambda wildcards, input: ["--start", input.start] if input.start else [],
    shell:
        """
        python -m rules_src.stages.meta_train --spec {params.spec:q} --code {params.code} \
            {params.datasets:q} {params.start:q} --theta {output.theta:q} --history {output.history:q} \
            --devices {threads} 2>&1 | tee {log:q}
        """


rule meta_train:
    """Target: every meta-training run that a rule of the study needs."""
    input:
        [f"{folder}/theta.safetensors" for folder in run_folders(settings.study.rules)],
