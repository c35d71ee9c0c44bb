"""What is evaluated in each study: representations by few labels, or learners on episodes."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

from metaplastic.config.checks import check_learners, check_study

from workflow.plan import Plan, dataset_stores, features

READOUTS = ("metaplastic.few_shot.readout_accuracy",)
EPISODES = "metaplastic.few_shot.episode_accuracy"
"""Modules that make evaluations."""


class Evaluation(NamedTuple):
    """A representation or a learner on one dataset, scored by few labels."""

    place: str
    """Path of the evaluation in the study's folder, without suffix."""
    data: str
    """Store of the features, or of the dataset."""
    modules: tuple[str, ...]
    """The module that makes it, and that of the learner."""
    learner: dict[str, Any] = {}
    """Key and section of the learner, and what training leaves of it where tasks train it; empty for readouts."""


def evaluations(plan: Plan, name: str) -> list[Evaluation]:
    """Return one evaluation for each representation of a study, or learner with what it learns from, and each dataset.

    Raises:
        InputError: as for `check_study` and `check_learners`.
    """
    study, representations, found = plan.study(name), plan.of_study(name), list[Evaluation]()
    if not study.learners:
        check_study(plan.config, name)
        places = map("/".join, product(representations, study.datasets))
        return [Evaluation(*each, READOUTS) for each in zip(places, plan.feature_stores(name), strict=True)]
    check_learners(plan.config, name)
    for learner, dataset in product(study.learners, study.datasets):
        spec, (images,) = plan.config.learners[learner], dataset_stores([dataset])
        of, modules = {"learner": learner, "section": spec.model_dump(mode="json")}, (EPISODES, spec.module)
        if spec.meta_learned:
            for source in plan.partitions_of(name):
                trained = plan.trained_learner(learner, source, study.trained_on or dataset)
                of_source = of | {"snapshots": f"{trained}/snapshots"}
                found.append(Evaluation(f"{learner}/{source}/{dataset}", images, modules, of_source))
        elif spec.takes_images:
            found.append(Evaluation(f"{learner}/{dataset}", images, modules, of))
        else:
            for source, store in zip(representations, features(representations, [dataset]), strict=True):
                found.append(Evaluation(f"{learner}/{source}/{dataset}", store, modules, of))
    return found


def options_of(plan: Plan, name: str, fingerprint: Callable[..., str]) -> list[str]:
    """Return the evaluations of a study as options of the stage; `fingerprint` tells the code of modules.

    Raises:
        InputError: as for `evaluations`, or source does not parse.
    """
    options = []
    for each in evaluations(plan, name):
        of_data = {"place": each.place, "data": each.data, "code": fingerprint(*each.modules)}
        options.append(f"--evaluation={json.dumps(of_data | each.learner)}".replace("<results>", plan.config.results))
    return options


def evaluated(plan: Plan, name: str) -> list[str]:
    """Return everything that the evaluations of a study read; raise InputError as `evaluations` does."""
    found = evaluations(plan, name)
    return list(dict.fromkeys(path for each in found for path in (each.data, each.learner.get("snapshots")) if path))


def evaluated_by(plan: Plan, name: str) -> list[str]:
    """Return the modules behind the evaluations of a study; the first one makes them."""
    return list(dict.fromkeys(module for each in evaluations(plan, name) for module in each.modules))
