from snakemake.utils import min_version

min_version("9.20")


# Of this checkout, wherever results go (`--directory`).
configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"


pathvars:
    results=settings.results,
    logs=f"{settings.results}/logs",
    benchmarks=f"{settings.results}/benchmarks",


# Base for an image with requirements.lock installed, should `--sdm apptainer` be wanted; no command here uses it.
container: "docker://python:3.11-slim"


report: "workflow/report/study.rst"


include: "workflow/rules/datasets.smk"
include: "workflow/rules/meta_train.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/cactus.smk"
include: "workflow/rules/figures.smk"


localrules:
    all,
    datasets,
    meta_train,
    apply,
    evaluate,
    episodes,
    figures,


rule all:
    """The studies that the config runs: their tables, summaries, accuracies on episodes and figures."""
    default_target: True
    input:
        rules.evaluate.input,
        rules.episodes.input,
        rules.figures.input,


for study in settings.studies:

    rule:
        name:
            target(study)
        input:
            lambda wildcards, study=study: planned(plan.tables, study)
            + planned(plan.episodes, study)
            + planned(plan.figure_files, study),
