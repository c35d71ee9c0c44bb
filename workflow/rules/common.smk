"""What rules share: the plan of the validated config, and the environment of jobs."""

import os
import sys
from pathlib import Path

from metaplastic.config.base import canonical_json
from metaplastic.results.spec import FIGURES
from metaplastic.meta_train.spec import EXECUTION
from metaplastic.config.files import check_files
from metaplastic.config.study import load, target
from metaplastic.io.errors import InputError
from metaplastic.io.jax_settings import ENVIRONMENT
from workflow.checks import check_folders
from workflow.figures import declared
from workflow.plan import Plan, dataset_stores, manifests, one_of
from workflow.resources import OTHERS, SMALL, growing

try:
    check_files(Path(file) for file in workflow.configfiles)
    settings = load(config)
    check_folders(settings)
except InputError as error:
    sys.exit(f"error: {error}")

plan = Plan(settings, CHECKOUT / "rules_src/metaplastic")

# Stages run with the Python that runs Snakemake, whether or not its environment is activated. Jobs inherit this, on
# other machines too, where Snakemake reads this file again.
path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
os.environ.update(PATH=os.pathsep.join(path))
os.environ.update({**ENVIRONMENT, **os.environ})


def planned(ask, *arguments):
    """What the plan answers; what a user can mend ends the workflow with one line."""
    try:
        return ask(*arguments)
    except InputError as error:
        sys.exit(f"error: {error}")


def code(stage, *modules):
    return planned(plan.code, stage, *modules)


def of_studies(ask):
    """What the plan answers for every study that is run, each thing once."""
    return list(
        dict.fromkeys(item for study in settings.run for item in planned(ask, study))
    )


def of_experiments(ask, figure=None):
    """What the plan answers for every experiment that is run, by default of any figure."""
    studies = planned(plan.experiments_of, figure)
    return [item for study in studies for item in planned(ask, study)]


def config_options():
    """The option that names the config files laid over the default one."""
    default = CHECKOUT / "config/config.yaml"
    files = [
        str(file) for file in workflow.configfiles if Path(file).resolve() != default
    ]
    return [f"--configured=--configfile {' '.join(files)}"] if files else []


def made(study):
    """Everything that is made of a study."""
    return [*plan.tables(study), *plan.episodes(study), *plan.figure_files(study)]


def figure_paths(wildcards):
    """What a figure is drawn from."""
    inputs = planned(plan.figures, wildcards.study)[wildcards.figure]
    return [path for paths in inputs.values() for path in paths]


def figure_options(wildcards, paths):
    """The option `--input NAME=PATH` for each of `paths`, which are `figure_paths` with their folder."""
    inputs = planned(plan.figures, wildcards.study)[wildcards.figure]
    names = [name for name, of_name in inputs.items() for _ in of_name]
    return [f"--input={name}={path}" for name, path in zip(names, paths)]


def raw_folders():
    """Options that say where raw files come from."""
    mirror = ["--mirror", settings.data.mirror] if settings.data.mirror else []
    return ["--cache", settings.data.cache, *mirror]


wildcard_constraints:
    study=one_of(settings.studies),
    dataset=one_of(settings.datasets),
    base_model=one_of(settings.base_models),
    method=one_of(settings.rules),
    embedding=one_of(settings.embeddings),
    representation=one_of(plan.representations),
    partition=one_of(settings.partitions),
    partitioned=one_of(plan.partitioned),
    learner=one_of(settings.learners),
    learner_run=one_of(plan.learners),
    run=one_of(plan.runs),
