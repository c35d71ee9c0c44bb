from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")

# The folder of this file, wherever results go (`--directory`) and whatever includes it.
CHECKOUT = Path(workflow.current_basedir)


configfile: CHECKOUT / "config/config.yaml"


include: "workflow/rules/common.smk"


pathvars:
    results=settings.results,
    logs=f"{settings.results}/logs",
    benchmarks=f"{settings.results}/benchmarks",


# For `--sdm apptainer` alone: put the image here that you made by Containerfile; this is its base.
container: "docker://python:3.11-slim"


report: "workflow/report/study.rst"


include: "workflow/rules/datasets.smk"
include: "workflow/rules/meta_train.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/cactus.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/explore.smk"


onsuccess:
    print(closing(settings))


rule all:
    """The studies that the config runs: their tables, summaries, accuracies on episodes and figures."""
    default_target: True
    input:
        rules.evaluate.input,
        rules.figures.input,
        # With fewer experiments the page is made on request only.
        rules.comparison.input
        if len(planned(experiments, plan)) == len(EXPERIMENTS)
        else [],


for figure in dict.fromkeys(declared.figure for declared in EXPERIMENTS.values()):

    rule:
        name:
            figure
        input:
            lambda w, figure=figure: [
                path
                for study in planned(studies_of, plan, figure)
                for path in planned(made, study)
            ],


taken = {rule.name for rule in workflow.rules}

for study in settings.studies:

    target = study.replace("-", "_")
    if target in taken:
        sys.exit(
            f"error: config: studies.{study}: the name is that of a rule of the workflow; rename it"
        )

    rule:
        name:
            target
        input:
            lambda w, study=study: planned(made, study),
