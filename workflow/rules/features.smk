"""In: datasets, and the thetas of update rules. Out: features/<representation>/<dataset>.zarr."""


rule apply_rule:
    """Unroll an update rule on the unlabelled examples of a dataset and keep the features along the way."""
    input:
        dataset="<results>/datasets/{dataset}.zarr",
        manifest="<results>/datasets/{dataset}.manifest.json",
        theta=lambda w: planned(plan.theta, w.method),
        theta_manifest=lambda w: manifests(plan.theta_of_run(w.method)),
    output:
        store=directory("<results>/features/{base_model}/{method}/{dataset}.zarr"),
        manifest="<results>/features/{base_model}/{method}/{dataset}.manifest.json",
    log:
        "<logs>/apply_rule/{base_model}/{method}/{dataset}.log",
    benchmark:
        "<benchmarks>/apply_rule/{base_model}/{method}/{dataset}.tsv"
    wildcard_constraints:
        method=one_of(name for name, spec in settings.rules.items() if spec.learned),
    resources:
        **growing(lambda w: applying(settings, w.base_model, w.method, w.dataset)),
    params:
        rule=lambda w: canonical_json(settings.rules[w.method]),
        base_model=lambda w: canonical_json(settings.base_models[w.base_model]),
        spec=canonical_json(settings.apply),
        code=lambda w: code("apply_rule", *plan.rule_modules(w.method)),
        theta=lambda w, input: [f"--theta={theta}" for theta in input.theta],
        # A file that comes with the project may be replaced by an older one.
        held=lambda w: (
            planned(of_files, planned(plan.theta, w.method))
            if settings.rules[w.method].pretrained
            else []
        ),
    shell:
        """
        python -m metaplastic.stages.apply_rule --method {wildcards.method} --rule {params.rule:q} \
            --base-model-name {wildcards.base_model} --base-model {params.base_model:q} \
            --spec {params.spec:q} --code {params.code} --dataset {input.dataset:q} {params.theta:q} \
            --output {output.store:q} 2>&1 | tee {log:q}
        """


use rule apply_rule as apply_hand_made_rule with:
    # A rule of its own, so that profiles can spare it a GPU.
    wildcard_constraints:
        method=one_of(name for name, spec in settings.rules.items() if not spec.learned),


rule embed:
    """Embed a dataset by a method that is not an update rule.

    The folder `state` beside the output is not an output, so it outlives a failed job and the next one goes on from it.
    """
    input:
        dataset="<results>/datasets/{dataset}.zarr",
        manifest="<results>/datasets/{dataset}.manifest.json",
    output:
        store=directory("<results>/features/{embedding}/{dataset}.zarr"),
        manifest="<results>/features/{embedding}/{dataset}.manifest.json",
    log:
        "<logs>/embed/{embedding}/{dataset}.log",
    benchmark:
        "<benchmarks>/embed/{embedding}/{dataset}.tsv"
    threads: lambda w: settings.embeddings[w.embedding].cores
    resources:
        **growing(OTHERS),
    params:
        spec=lambda w: canonical_json(settings.embeddings[w.embedding]),
        seeds=settings.apply.seeds,
        code=lambda w: code("embed", settings.embeddings[w.embedding].module),
        trained_by=lambda w: planned(
            source.of_state, settings.embeddings[w.embedding].module
        ),
    shell:
        """
        python -m metaplastic.stages.embed --method {wildcards.embedding} --spec {params.spec:q} \
            --seeds {params.seeds} --code {params.code} --trained-by {params.trained_by} \
            --dataset {input.dataset:q} --output {output.store:q} 2>&1 | tee {log:q}
        """


rule apply:
    """Target: the features of every method on every dataset of the studies that are run."""
    input:
        lambda w: of_studies(plan.feature_stores),
