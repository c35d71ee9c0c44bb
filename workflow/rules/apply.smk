rule apply_rule:
    """Unroll an update rule on the unlabelled examples of a dataset and keep the features along the way."""
    input:
        dataset="<results>/datasets/{dataset}.zarr",
        manifest="<results>/datasets/{dataset}.manifest.json",
        theta=lambda wildcards: theta_files(wildcards.method),
        theta_manifest=lambda wildcards: manifests(theta_of_run(wildcards.method)),
    output:
        store=directory("<results>/features/{base_model}/{method}/{dataset}.zarr"),
        manifest="<results>/features/{base_model}/{method}/{dataset}.manifest.json",
    log:
        "<logs>/apply_rule/{base_model}/{method}/{dataset}.log",
    benchmark:
        "<benchmarks>/apply_rule/{base_model}/{method}/{dataset}.tsv"
    wildcard_constraints:
        method=one_of(settings.rules),
    params:
        rule=lambda wildcards: canonical_json(settings.rules[wildcards.method]),
        base_model=lambda wildcards: canonical_json(
            settings.base_models[wildcards.base_model]
        ),
        spec=canonical_json(settings.apply),
        code=lambda wildcards: code("apply_rule", *rule_modules(wildcards.method)),
        theta=lambda wildcards, input: ["--theta", input.theta] if input.theta else [],
    shell:
        """
        python -m rules_src.stages.apply_rule --rule {params.rule:q} --base-model {params.base_model:q} \
            --spec {params.spec:q} --code {params.code} --dataset {input.dataset:q} {params.theta:q} \
            --output {output.store:q} 2>&1 | tee {log:q}
        """


rule embed_baseline:
    """Features of a method that is no update rule, as wide as the base model's."""
    input:
        dataset="<results>/datasets/{dataset}.zarr",
        manifest="<results>/datasets/{dataset}.manifest.json",
    output:
        store=directory("<results>/features/{base_model}/{method}/{dataset}.zarr"),
        manifest="<results>/features/{base_model}/{method}/{dataset}.manifest.json",
    log:
        "<logs>/embed_baseline/{base_model}/{method}/{dataset}.log",
    benchmark:
        "<benchmarks>/embed_baseline/{base_model}/{method}/{dataset}.tsv"
    wildcard_constraints:
        method=one_of(settings.baselines),
    params:
        baseline=lambda wildcards: canonical_json(settings.baselines[wildcards.method]),
        features=lambda wildcards: settings.base_models[wildcards.base_model].features,
        seeds=settings.apply.seeds,
        code=lambda wildcards: code(
            "embed_baseline",
            f"baselines.{settings.baselines[wildcards.method].module}",
        ),
    shell:
        """
        python -m rules_src.stages.embed_baseline --baseline {params.baseline:q} --features {params.features} \
            --seeds {params.seeds} --code {params.code} --dataset {input.dataset:q} \
            --output {output.store:q} 2>&1 | tee {log:q}
        """


rule apply:
    """Target: the features of every method of the study on every dataset."""
    input:
        feature_stores(methods, settings.study.datasets),
