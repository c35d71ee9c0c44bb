"""In: features of a study's images. Out: studies/<study>/explore.html, a page that needs no server, and a still of it."""

from workflow.plan_explore import explored, pages


rule explore_study:
    """Show what recorded networks made of images while they learned."""
    input:
        dataset=lambda wildcards: planned(explored, plan, wildcards.study).dataset,
        features=lambda wildcards: planned(explored, plan, wildcards.study).features,
        manifests=lambda wildcards: manifests(
            [
                planned(explored, plan, wildcards.study).dataset,
                *planned(explored, plan, wildcards.study).features,
            ]
        ),
        # Their fingerprint is that of Python alone.
        templates=[
            os.path.relpath(package / f"explore/page.{suffix}")
            for suffix in ("html", "js")
        ],
    output:
        page="<results>/studies/{study}/explore.html",
        still="<results>/studies/{study}/explore.png",
    log:
        "<logs>/explore/{study}.log",
    benchmark:
        "<benchmarks>/explore/{study}.tsv"
    threads: 2
    resources:
        **growing(OTHERS | {"runtime": SMALL["runtime"]}),
    params:
        spec=lambda wildcards: canonical_json(plan.protocol(wildcards.study)),
        batch=settings.apply.batch,
        code=lambda wildcards: code("explore"),
        features=lambda wildcards, input: [
            f"--features={path}" for path in input.features
        ],
    shell:
        """
        python -m metaplastic.stages.explore --spec {params.spec:q} --batch {params.batch} --dataset {input.dataset:q} \
            {params.features:q} --output {output.page:q} --still {output.still:q} --cores {threads} 2>&1 | tee {log:q}
        """


rule explore:
    """Target: the page of each study that is run."""
    input:
        lambda wildcards: planned(pages, plan),
