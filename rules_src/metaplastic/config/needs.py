"""What figures and experiments need of a study: each need once, by name.

A figure declares its needs in `NEEDS`, a claim of a paper in `needs`; the plan asks this table.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from metaplastic.config.study import Config, Study
from metaplastic.embeddings.spec import CURVE
from metaplastic.io.errors import InputError


class Chosen(NamedTuple):
    """The sections that a study lists."""

    study: Study
    datasets: list[Any]
    rules: list[Any]
    embeddings: list[Any]
    partitions: list[Any]
    learners: list[Any]


class Need(NamedTuple):
    """One thing that a study must have."""

    key: str
    """The key of the study that lists it."""
    what: str
    """It in words, for the message where it is missing."""
    met: Callable[[Chosen], bool]


def chosen(config: Config, name: str) -> Chosen:
    """Look up the sections that a study lists."""
    study = config.studies[name]
    tables = {table: getattr(config, table) for table in Chosen._fields[1:]}
    return Chosen(study, *([known[key] for key in getattr(study, table)] for table, known in tables.items()))


def is_met(name: str, config: Config, study: str) -> bool:
    """Return whether a study meets a need."""
    return NEEDS[name].met(chosen(config, study))


def check_experiment(config: Config, name: str, needs: Iterable[str]) -> None:
    """Refuse a study that lacks what its experiment needs.

    Raises:
        InputError: naming the study's key, and what it has to list.
    """
    study = chosen(config, name)
    for need in (NEEDS[each] for each in needs):
        if not need.met(study):
            raise InputError(f"studies.{name}.{need.key}: experiment {study.study.experiment!r} takes {need.what}")


def _runs(study: Chosen, *, trained: bool = False) -> Counter[str]:
    """Count the rules that come from each meta-training run, or those that it has trained at all."""
    return Counter(r.trained_by for r in study.rules if r.trained_by is not None and (r.trained or not trained))


def _numbers_of_clusters(study: Chosen) -> bool:
    """Return whether partitions differ only in their number, or only in their clusters, often enough for a curve."""
    pairs = {(spec.partitions, spec.clusters) for spec in study.partitions if spec.found_clusters}
    return any(count >= CURVE for numbers in zip(*pairs, strict=True) for count in Counter(numbers).values())


NEEDS = {
    "trained rule": Need(
        "rules", "a rule that was meta-trained", lambda s: any(r.pretrained or r.trained_by for r in s.rules)
    ),
    "random initialisation": Need(
        "rules", "the rule of kind 'identity'", lambda s: any(r.kind == "identity" for r in s.rules)
    ),
    "images": Need("datasets", "images", lambda s: any(d.modality == "image" for d in s.datasets)),
    "text": Need("datasets", "text", lambda s: any(d.modality == "text" for d in s.datasets)),
    "several datasets": Need("datasets", "two moons and one more", lambda s: len(s.datasets) > 1),
    "permuted inputs": Need(
        "datasets",
        "one with `permuted` inputs and one without",
        lambda s: len({d.permuted is None for d in s.datasets}) == 2,
    ),
    "training curve": Need(
        "embeddings",
        f"a network that is recorded after {CURVE} or more numbers of steps",
        lambda s: any(e.makes_a_curve for e in s.embeddings),
    ),
    "raw input": Need("embeddings", "the one of kind 'raw'", lambda s: any(e.kind == "raw" for e in s.embeddings)),
    "snapshots": Need(
        "rules", f"{CURVE} or more of one run, by `meta_step`", lambda s: max(_runs(s).values(), default=0) >= CURVE
    ),
    "meta-learned learner": Need(
        "learners", "one that tasks train", lambda s: any(learner.meta_learned for learner in s.learners)
    ),
    "linear and mlp": Need(
        "learners",
        "one of kind 'linear', then one of 'mlp'",
        lambda s: [learner.kind for learner in s.learners] == ["linear", "mlp"],
    ),
    "several networks": Need("base_models", f"{CURVE} or more networks", lambda s: len(s.study.base_models) >= CURVE),
    "principal components": Need(
        "figures", "principal_components", lambda s: "principal_components" in (s.study.figures or [])
    ),
    "few-shot methods": Need("learners", "no learners", lambda s: not s.learners),
    "learners": Need("learners", "at least one", lambda s: bool(s.learners)),
    "rules": Need("rules", "at least one", lambda s: bool(s.rules)),
    "several methods": Need(
        "embeddings", "two or more methods", lambda s: len(s.rules) * len(s.study.base_models) + len(s.embeddings) > 1
    ),
    "several runs": Need("rules", "rules of two or more runs", lambda s: len(_runs(s, trained=True)) > 1),
    "numbers of clusters": Need("partitions", f"{CURVE} or more numbers of clusters", _numbers_of_clusters),
}
"""Every need by its name."""
