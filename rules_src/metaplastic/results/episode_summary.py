"""Every learner's accuracy on episodes of a study in one dataset, and the table made from it."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from metaplastic.few_shot.reported import reported
from metaplastic.io.errors import InputError
from metaplastic.results.intervals import interval_over_episodes
from metaplastic.results.tables import NONE, Table, markdown, percent

ORACLE = "oracle"
"""Begins the name of a learner that true labels train."""

REFERENCE = "nearest-neighbours"
"""Kind of learner that differences are to, on the same embedding."""

LONG_NAMES = {
    "accuracy": "share of the queries, mean over episodes",
    "interval": "half of its 95% interval over episodes, and seeds of the embedding where several were evaluated",
    "difference": f"accuracy less that of {REFERENCE} on the same embedding and episodes",
    "difference_interval": "half of its 95% interval over episodes",
    "reported": "accuracy that Hsu et al. 2019 report",
    "embedding_kind": "kind of the embedding or the rule",
    "embedding": "key of the embedding or the rule in the config",
    "learner": "key of the learner in the config, and how its tasks are made if not by the first clusters",
    "way": "classes an episode",
    "shots": "labelled examples a class",
    "permuted": "whether the inputs of the dataset are in a random order",
    "on_embedding": "whether the learner takes features, or clusters of them",
    "learner_key": "key of the learner in the config",
    "partition": "key in the config of the partitions that train the learner, if any",
    "partitions": "number of these, 0 where it is not known",
    "clusters": "clusters in each of them before small ones are dropped, 0 where it is not known",
}

VARIABLES = ("accuracy", "interval", "difference", "difference_interval", "reported")
DIMENSIONS = ("dataset", "embedding", "learner", "way", "shots")


class Arm(NamedTuple):
    """What was evaluated; a learner that needs no embedding has none."""

    dataset: str
    embedding: str | None
    learner: str


def summarise(evaluations: Sequence[xr.Dataset]) -> xr.Dataset:
    """Means and 95% intervals over episodes; shares in [0, 1].

    Args:
        evaluations: results of `episodes.evaluate` with the attributes that the stage gives them, all on the same ways,
            shots and numbers of episodes.

    Returns:
        `accuracy`, `interval`, `difference`, `difference_interval` and `reported`, each `(dataset, embedding, learner,
        way, shots)`, NaN for what was not evaluated, has no reference or is not reported; `embedding_kind (embedding)`,
        `permuted (dataset)` and `on_embedding (learner)`. What needs no embedding stands under each. A learner that
        other partitions than the first of k-means train is called `<learner>-<partition>`, one that true labels train
        `oracle-<learner>`; coordinates `learner_key`, `partition`, `partitions` and `clusters` tell them apart.

    Raises:
        InputError: nothing to summarise, something evaluated twice, or of other episodes than the rest.
    """
    if not evaluations:
        raise InputError("no evaluation to summarise")
    clusters = next((e.attrs["partition"] for e in evaluations if e.attrs.get("partition_kind") == "k-means"), None)
    by_arm: dict[Arm, xr.Dataset] = {}
    first = evaluations[0]
    for evaluation in evaluations:
        arm = Arm(evaluation.attrs["dataset"], evaluation.attrs.get("embedding"), _learner(evaluation, clusters))
        if arm in by_arm:
            raise InputError(f"learner {arm.learner!r} was evaluated twice on {arm.dataset!r}, {arm.embedding or NONE}")
        if any(not first[axis].equals(evaluation[axis]) for axis in ("way", "shots", "episode")):
            raise InputError(
                f"learner {arm.learner!r} was evaluated on other episodes than the first; evaluate it again"
            )
        by_arm[arm] = evaluation
    kinds = {arm.embedding: evaluation.attrs["embedding_kind"] for arm, evaluation in by_arm.items() if arm.embedding}
    kinds = kinds or {NONE: NONE}
    places = {
        (arm.dataset, embedding, arm.learner): evaluation
        for arm, evaluation in by_arm.items()
        for embedding in ([arm.embedding] if arm.embedding else kinds)
    }
    coords = {
        "dataset": np.array(list(dict.fromkeys(arm.dataset for arm in by_arm)), dtype=object),
        "embedding": np.array(list(kinds), dtype=object),
        "learner": np.array(list(dict.fromkeys(arm.learner for arm in by_arm)), dtype=object),
        "way": first["way"].values,
        "shots": first["shots"].values,
    }
    empty = xr.DataArray(np.nan, coords, DIMENSIONS)
    summary = xr.Dataset({name: empty.copy() for name in VARIABLES})
    summary["embedding_kind"] = ("embedding", np.array(list(kinds.values()), dtype=object))
    learners = {arm.learner: arm.embedding is not None for arm in by_arm}
    summary["on_embedding"] = ("learner", np.array(list(learners.values())))
    summary = summary.assign_coords(_of_training({arm.learner: e.attrs for arm, e in by_arm.items()}))
    orders = {arm.dataset: bool(evaluation.attrs.get("permuted", 0)) for arm, evaluation in by_arm.items()}
    summary["permuted"] = ("dataset", np.array(list(orders.values())))
    for (dataset, embedding, learner), evaluation in places.items():
        cell = {"dataset": dataset, "embedding": embedding, "learner": learner}
        _fill(summary, cell, evaluation, "accuracy", "interval", evaluation["accuracy"])
        references = [e for place, e in places.items() if place[:2] == (dataset, embedding) and _is_reference(e)]
        reference = next(iter(references), None)
        if reference is not None and reference is not evaluation:
            # What learns from clusters learns from those of the first seed.
            of_same = reference if "seed" in evaluation.dims else reference.isel(seed=0, missing_dims="ignore")
            paired = evaluation["accuracy"] - of_same["accuracy"]
            _fill(summary, cell, evaluation, "difference", "difference_interval", paired)
        for way, shots in product(coords["way"].tolist(), coords["shots"].tolist()):
            value = reported(dataset, kinds[embedding], learner, way, shots)
            if value is not None:
                summary["reported"].loc[{**cell, "way": way, "shots": shots}] = value
    for name, long_name in LONG_NAMES.items():
        summary[name].attrs["long_name"] = long_name
    return summary.assign_attrs(
        episodes=first.sizes["episode"],
        queries=int(first.attrs["queries"]),
        split=first.attrs["split"],
        seeds=max(evaluation.sizes.get("seed", 1) for evaluation in evaluations),
    )


def markdown_table(summary: xr.Dataset) -> str:
    """Percent of the queries: learners of an embedding by ways and shots, the best of each column in bold.

    What the paper reports stands in brackets behind.
    """
    settings = list(product(summary["way"].values.tolist(), summary["shots"].values.tolist()))
    parts = []
    for dataset in summary["dataset"].values.tolist():
        of_dataset = summary.sel(dataset=dataset)
        best = [float(of_dataset["accuracy"].sel(way=way, shots=shots).max()) for way, shots in settings]
        table: Table = [[dataset, "embedding", *(f"{way}-way {shots}-shot" for way, shots in settings)]]
        for learner in of_dataset["learner"].values.tolist():
            for embedding, cell in of_embeddings(of_dataset.sel(learner=learner)).items():
                texts = [_text(cell.sel(way=w, shots=k), b) for (w, k), b in zip(settings, best, strict=True)]
                table.append([learner, embedding, *texts])
        parts += [*markdown(table), ""]
    episodes, queries, split = (summary.attrs[name] for name in ("episodes", "queries", "split"))
    seeds = summary.attrs.get("seeds", 1)
    over = "one embedding" if seeds == 1 else f"of readouts of features over {seeds} seeds of those too"
    known = " In brackets what Hsu et al. 2019 report." if summary["reported"].notnull().any() else ""
    parts += [
        f"Accuracy in percent on {queries} queries a class of {episodes} episodes of the {split} split, the same for "
        f"every learner; ± is half of the 95% interval over episodes, of one training and {over}; best in bold."
        f"{known}",
        "",
    ]
    return "\n".join(parts)


def of_embeddings(of_learner: xr.Dataset) -> dict[str, xr.Dataset]:
    """A learner's results by embedding, where it has any; `none` alone where it needs no embedding."""
    found = {e: of_learner.sel(embedding=e) for e in of_learner["embedding"].values.tolist()}
    found = {e: cell for e, cell in found.items() if bool(cell["accuracy"].notnull().any())}
    # What needs no embedding is the same under each.
    return found if of_learner["on_embedding"] else {NONE: next(iter(found.values()))} if found else {}


def _text(cell: xr.Dataset, best: float) -> str:
    mean, half, paper = (float(cell[name]) for name in ("accuracy", "interval", "reported"))
    text = percent(mean, half, largest=best)
    return text if np.isnan(paper) else f"{text} ({100 * paper:.1f})"


def _learner(evaluation: xr.Dataset, clusters: str | None) -> str:
    name, partition = str(evaluation.attrs["learner"]), evaluation.attrs.get("partition")
    if evaluation.attrs.get("partition_kind") == "labels":
        return f"{ORACLE}-{name}"
    return name if partition in (None, clusters) else arm_name(name, partition)


def arm_name(learner: str, partition: str) -> str:
    """Of a learner that other partitions train than those which go without saying."""
    return f"{learner}-{partition}"


def _of_training(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates of learners that say what has trained them, given the attributes of an evaluation of each."""

    def values(name: str, otherwise: str | int, dtype: type) -> tuple[str, np.ndarray]:
        return "learner", np.array([attrs.get(name, otherwise) for attrs in attributes.values()], dtype)

    numbers = {name: values(name, 0, int) for name in ("partitions", "clusters")}
    return {"learner_key": values("learner", NONE, object), "partition": values("partition", NONE, object), **numbers}


def _is_reference(evaluation: xr.Dataset) -> bool:
    return bool(evaluation.attrs["learner_kind"] == REFERENCE)


def _fill(
    summary: xr.Dataset, cell: dict[str, str], evaluation: xr.Dataset, mean: str, half: str, values: xr.DataArray
) -> None:
    interval = interval_over_episodes(values)
    summary[mean].loc[cell] = interval.mean
    summary[half].loc[cell] = (interval.high - interval.low) / 2
