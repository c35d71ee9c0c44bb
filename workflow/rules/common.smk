"""What the rules share: the validated config, its plan, and the environment of jobs."""

import os
import sys
from pathlib import Path, PurePath

# Planning and jobs take the package of this checkout, whichever one is installed, since its code is fingerprinted.
PACKAGES = CHECKOUT / "rules_src"
sys.path.insert(0, str(PACKAGES))

from metaplastic.config.base import canonical_json
from metaplastic.config.load import check_files, load
from metaplastic.io.errors import InputError
from metaplastic.io.jax_settings import ENVIRONMENT
from metaplastic.meta_train.spec import EXECUTION
from workflow.closing import closing
from workflow.folders import check_folders, own_files, warn_of_unrecorded
from workflow.plan_evaluations import evaluated, evaluated_by, evaluations, options_of
from workflow.plan_figures import declared, figures_of, files_of, names
from workflow.fingerprint import Code, of_files
from workflow.plan import Plan, dataset_stores, manifests, one_of
from workflow.resources import (
    OTHERS,
    PREPARING,
    SMALL,
    applying,
    cores,
    growing,
    meta_training,
)


def planned(ask, *arguments, **options):
    """Return what the plan answers. What a user can mend ends the workflow with one line."""
    try:
        return ask(*arguments, **options)
    except InputError as error:
        sys.exit(f"error: {error}")


planned(check_files, map(Path, workflow.configfiles))
settings = planned(load, config)
planned(check_folders, settings)
warn_of_unrecorded(settings)
package = PACKAGES / "metaplastic"
plan, source = Plan(settings, package), Code(package)

# Stages run with the Python that runs Snakemake, whether or not its environment is activated. Jobs inherit this, also
# on other machines, where Snakemake reads this file again.
path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
packages = filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH")])
os.environ.update(PATH=os.pathsep.join(path), PYTHONPATH=os.pathsep.join(packages))
os.environ.update({**ENVIRONMENT, **os.environ})


def code(stage, *modules, **options):
    """Return the fingerprint of a stage, the parameter that reruns it."""
    return planned(source.of_stage, stage, *modules, **options)


def of_studies(ask):
    """Return what the plan answers for every study that is run, each thing once."""
    return list(
        dict.fromkeys(item for study in settings.run for item in planned(ask, study))
    )


def made(study):
    """Return everything that is made of a study."""
    return [*plan.tables(study), *files_of(plan, study)]


def figure_inputs(w):
    """Return what a figure is drawn from, by the names under which it takes it."""
    return planned(figures_of, plan, w.study)[w.figure]


def config_options():
    """Return the option that names the config files laid over the default one."""
    default = CHECKOUT / "config/config.yaml"
    files = [
        str(file) for file in workflow.configfiles if Path(file).resolve() != default
    ]
    return [f"--configured=--configfile {' '.join(files)}"] if files else []


wildcard_constraints:
    study=one_of(settings.studies),
    dataset=one_of(settings.datasets),
    base_model=one_of(settings.base_models),
    method=one_of(settings.rules),
    embedding=one_of(settings.embeddings),
    partitioned=one_of(plan.partitioned),
    learner_run=one_of(plan.learners),
    run=one_of(plan.runs),
