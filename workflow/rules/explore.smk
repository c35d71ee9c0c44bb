"""In: features of a study's images. Out: studies/<study>/explore.html, a page that needs no server, and a still of it."""

from workflow.plan_explore import explored, pages


rule explore_study:
    """Show what recorded networks made of images while they learned."""
    input:
        dataset=lambda w: planned(explored, plan, w.study).dataset,
        features=lambda w: planned(explored, plan, w.study).features,
        manifests=lambda w: manifests(
            [
                planned(explored, plan, w.study).dataset,
                *planned(explored, plan, w.study).features,
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
        spec=lambda w: canonical_json(plan.protocol(w.study)),
        batch=settings.apply.batch,
        code=lambda w: code("explore"),
        features=lambda w, input: [f"--features={path}" for path in input.features],
    shell:
        """
        python -m metaplastic.stages.explore --spec {params.spec:q} --batch {params.batch} --dataset {input.dataset:q} \
            {params.features:q} --output {output.page:q} --still {output.still:q} --cores {threads} 2>&1 | tee {log:q}
        """


rule explore:
    """Target: the page of each study that is run."""
    input:
        lambda w: planned(pages, plan),
