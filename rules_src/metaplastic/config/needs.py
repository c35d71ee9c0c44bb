"""What figures and experiments need of a study: each need once, by name.

A figure declares its needs in `NEEDS`, a claim of a paper in `needs`; the plan asks this table.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from metaplastic.config.study import TABLES, Config
from metaplastic.embeddings.spec import CURVE
from metaplastic.io.errors import InputError


class Need(NamedTuple):
    """One thing that a study must have."""

    key: str
    """The key of the study that lists it."""
    what: str
    """It in words, for the message where it is missing."""
    met: Callable[[Any], bool]
    """Takes the study with the sections that it lists in place of their names."""


def chosen(config: Config, name: str) -> Any:
    """Return a study with the sections that it lists in place of their names."""
    study = config.studies[name]
    found = {table: [getattr(config, table)[listed] for listed in getattr(study, table)] for table in TABLES}
    return study.model_copy(update=found)


def check_experiment(config: Config, name: str, needs: Iterable[str]) -> None:
    """Raise InputError if a study lacks what its experiment needs: its key, and what that has to list."""
    study = chosen(config, name)
    for need in (NEEDS[each] for each in needs):
        if not need.met(study):
            raise InputError(f"studies.{name}.{need.key}: experiment {study.experiment!r} takes {need.what}")


def _some(key: str, what: str, right: Callable[[Any], Any]) -> Need:
    """Return the need of at least one section at `key` that is `right`."""
    return Need(key, what, lambda study: any(map(right, getattr(study, key))))


def _runs(study: Any, *, trained: bool = False) -> Counter[str]:
    """Count the rules that come from each meta-training run, or those that it has trained at all."""
    return Counter(r.trained_by for r in study.rules if r.trained_by is not None and (r.trained or not trained))


def _numbers_of_clusters(study: Any) -> bool:
    """Return whether partitions differ only in their number, or only in their clusters, often enough for a curve."""
    pairs = {(spec.partitions, spec.clusters) for spec in study.partitions if spec.found_clusters}
    return any(count >= CURVE for numbers in zip(*pairs, strict=True) for count in Counter(numbers).values())


def _one_permuted(study: Any) -> bool:
    """Return whether the first dataset with permuted inputs is the first one without, permuted."""
    permuted = [dataset for dataset in study.datasets if dataset.permuted is not None]
    intact = [dataset for dataset in study.datasets if dataset.permuted is None]
    return bool(permuted and intact) and permuted[0].model_copy(update={"permuted": None}) == intact[0]


NEEDS = {
    "trained rule": _some("rules", "a rule that was meta-trained", lambda r: r.trained),
    "random initialisation": _some("rules", "the rule of kind 'identity'", lambda r: r.kind == "identity"),
    "images": _some("datasets", "images", lambda d: d.modality == "image"),
    "text": _some("datasets", "text", lambda d: d.modality == "text"),
    "moons and images": Need(
        "datasets",
        "two moons, then images",
        lambda s: [d.source == "two-moons" for d in s.datasets][:2] == [True, False],
    ),
    "permuted inputs": Need("datasets", "one, and the same with `permuted` inputs", _one_permuted),
    "one training set": Need("trained_on", "the dataset without `permuted`", lambda s: s.trained_on is not None),
    "training curve": _some(
        "embeddings", f"a network that is recorded after {CURVE} or more numbers of steps", lambda e: e.makes_a_curve
    ),
    "raw input": _some("embeddings", "the one of kind 'raw'", lambda e: e.kind == "raw"),
    "snapshots": Need(
        "rules", f"{CURVE} or more of one run, by `meta_step`", lambda s: max(_runs(s).values(), default=0) >= CURVE
    ),
    "meta-learned learner": _some("learners", "one that tasks train", lambda learner: learner.meta_learned),
    "linear and mlp": Need(
        "learners",
        "one of kind 'linear', then one of 'mlp'",
        lambda s: [learner.kind for learner in s.learners] == ["linear", "mlp"],
    ),
    "several networks": Need("base_models", f"{CURVE} or more networks", lambda s: len(s.base_models) >= CURVE),
    "principal components": Need(
        "figures", "principal_components", lambda s: "principal_components" in (s.figures or [])
    ),
    "few-shot methods": Need("learners", "no learners", lambda s: not s.learners),
    "learners": Need("learners", "at least one", lambda s: bool(s.learners)),
    "rules": Need("rules", "at least one", lambda s: bool(s.rules)),
    "learning rule": _some("rules", "one of another kind than 'identity'", lambda r: r.kind != "identity"),
    "several methods": Need(
        "embeddings", "two or more methods", lambda s: len(s.rules) * len(s.base_models) + len(s.embeddings) > 1
    ),
    "several runs": Need("rules", "rules of two or more runs", lambda s: len(_runs(s, trained=True)) > 1),
    "numbers of clusters": Need("partitions", f"{CURVE} or more numbers of clusters", _numbers_of_clusters),
}
"""Every need by its name."""
