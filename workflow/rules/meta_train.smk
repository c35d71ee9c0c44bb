"""In: datasets that tasks show. Out: meta_train/<run>/, the thetas on the way and the history of each seed."""


rule meta_train_rule:
    """Meta-train an update rule on tasks of the sources that its section names.

    The folder `state` beside the outputs is not an output, so it outlives a failed job and the next one goes on from it.
    """
    input:
        datasets=lambda w: planned(plan.run_datasets, w.run),
        manifests=lambda w: manifests(planned(plan.run_datasets, w.run)),
        start=lambda w: planned(plan.start, w.run),
    output:
        snapshots=directory("<results>/meta_train/{run}/snapshots"),
        snapshots_manifest="<results>/meta_train/{run}/snapshots.manifest.json",
        history=directory("<results>/meta_train/{run}/history.zarr"),
        history_manifest="<results>/meta_train/{run}/history.manifest.json",
    log:
        "<logs>/meta_train_rule/{run}.log",
    benchmark:
        "<benchmarks>/meta_train_rule/{run}.tsv"
    wildcard_constraints:
        run=one_of(plan.together(several=False)),
    threads: lambda w: plan.runs[w.run].spec.processes * cores(settings, plan.runs[w.run].name)
    resources:
        **growing(lambda w: meta_training(plan.runs[w.run].spec)),
    params:
        spec=lambda w: canonical_json(plan.runs[w.run].spec, without=EXECUTION),
        code=lambda w: code("meta_train", *plan.runs[w.run].spec.modules),
        trained_by=lambda w: planned(
            source.of_state,
            "metaplastic.meta_train.run",
            *plan.runs[w.run].spec.modules,
        ),
        held=lambda w: planned(of_files, planned(plan.start, w.run)),
        # These change no result; a function of `threads` has no part in rerun decisions.
        keep=lambda w, threads: canonical_json(plan.runs[w.run].spec.keep),
        processes=lambda w, threads: plan.runs[w.run].spec.processes,
        devices=lambda w, threads: cores(settings, plan.runs[w.run].name),
        datasets=lambda w, input: [
            f"--dataset={Path(store).stem}={store}" for store in input.datasets
        ],
        start=lambda w, input: ["--start", input.start] if input.start else [],
        name=lambda w: plan.runs[w.run].name,
    shell:
        """
        python -m metaplastic.stages.meta_train --name {params.name} --spec {params.spec:q} --code {params.code} \
            --trained-by {params.trained_by} --keep {params.keep:q} {params.datasets:q} {params.start:q} \
            --snapshots {output.snapshots:q} --history {output.history:q} \
            --devices {params.devices} --processes {params.processes} 2>&1 | tee {log:q}
        """


use rule meta_train_rule as meta_train_together with:
    # Under Slurm the job's own `srun` starts its processes, as it starts those of MPI.
    wildcard_constraints:
        run=one_of(plan.together(several=True)),
    resources:
        **growing(lambda w: meta_training(plan.runs[w.run].spec)),
        mpi="srun",
        tasks_per_gpu=1,
        tasks=lambda w: plan.runs[w.run].spec.processes,
        cpus_per_task=lambda w: cores(settings, plan.runs[w.run].name),


rule meta_train:
    """Target: every meta-training run that the studies that are run need."""
    input:
        lambda w: [
            f"{folder}/snapshots"
            for folder in of_studies(
                lambda study: plan.run_folders(plan.study(study).rules)
            )
        ],
