"""What the page of a study is made from, which shows networks while they learn."""

from typing import NamedTuple

from metaplastic.io.errors import InputError

from workflow.plan import Plan, applied, dataset_stores, features

NEEDED = "update rules, a dataset of images and no learners"
"""What a study must have."""


class Explored(NamedTuple):
    """What the page shows: each method on the first images of the study, each rule with its first base model."""

    dataset: str
    """Store of the images."""
    features: list[str]
    """Features stores of the methods."""


def explored(plan: Plan, name: str) -> Explored:
    """Return what the page of a study shows; raise InputError if it lacks update rules or images, or has learners."""
    study, images = plan.study(name), _images(plan, name)
    if not images:
        raise InputError(f"studies.{name}: no page to show; it takes {NEEDED}")
    methods = [*applied(study.base_models[:1], study.rules), *study.embeddings]
    return Explored(dataset_stores(images[:1])[0], features(methods, images[:1]))


def pages(plan: Plan) -> list[str]:
    """Return the pages of those studies that are run and have something to show; raise InputError if none has."""
    found = [f"<results>/studies/{name}/explore.html" for name in plan.config.run if _images(plan, name)]
    if not found:
        raise InputError(f"explore: none of the studies that are run has a page to show; it takes {NEEDED}")
    return found


def _images(plan: Plan, name: str) -> list[str]:
    """Return the datasets that a study can show networks learn from."""
    study = plan.study(name)
    if study.learners or not study.rules:
        return []
    return [dataset for dataset in study.datasets if plan.config.datasets[dataset].modality == "image"]
