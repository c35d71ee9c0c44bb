"""Summaries of studies: every evaluation becomes rows of one table of means and intervals, and that becomes xarray."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from metaplastic.few_shot.reported import reported
from metaplastic.io.errors import InputError
from metaplastic.results.intervals import Interval, score
from metaplastic.results.selections import INITIAL, NONE, ORACLE, SHAPE

ANY = "any"
"""Base model in a summary of embeddings alone, which have none."""

NEAREST = "nearest-neighbours"
"""Kind of the learner that others on the same embedding are compared with."""

LONG_NAMES = {
    "accuracy": "test accuracy",
    "difference_to_random_init": "test accuracy less that of the randomly initialised base model",
    "chance": "test accuracy of guessing",
    "n_test": "examples of the test split",
    "seeds": "base models, each with its own initial weights, inputs' order and order of examples",
    "meta_seeds": "meta-training runs, equal but for the seed, that a rule comes from or would start",
    "seconds": "time to learn from the training examples and to embed all, all seeds together",
    "peak_mb": "largest memory of the process that did so, a GPU's left out",
    "depth": "hidden layers of the base model",
    "width": "units of the base model's widest hidden layer",
    "run": "key of the meta-training run that a rule is of, empty for others",
    "meta_step": "updates of theta that it has had there",
    "activation": "of every layer of the base model",
    "modality": "what the dataset's examples are: image, text or table",
    "representation": "key of the rule or the embedding in the config",
    "kind": "kind of the rule or the embedding",
    "shots": "labelled examples a class",
    "inner_step": "updates on batches of unlabelled examples before",
}

LONG_NAMES_OF_EPISODES = {
    "accuracy": "share of the queries, mean over episodes",
    "interval": "half of its 95% interval over episodes, and seeds of the embedding where several were evaluated",
    "difference": f"accuracy less that of {NEAREST} on the same embedding and episodes",
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


class Key(NamedTuple):
    """What few-shot readouts were fitted on; embeddings have no base model."""

    representation: str
    dataset: str
    base_model: str | None


class Arm(NamedTuple):
    """What labelled the queries of episodes; some learners need no embedding."""

    dataset: str
    embedding: str | None
    learner: str


Place = TypeVar("Place", Key, Arm)


def summarise(evaluations: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return means and 95% intervals of a study's evaluations, as shares in [0, 1]; NaN where nothing was evaluated.

    Args:
        evaluations: results of `readout_accuracy.evaluate` or of `episode_accuracy.evaluate`, with the attributes that
            the stages give them, all of one protocol. Gaps are allowed.

    Returns:
        For readouts, with intervals over meta-training seeds where there are any, seeds and draws of labels:
        `accuracy`, `accuracy_low`, `accuracy_high` `(representation, dataset, base_model, readout, shots)`, and the
        same as `accuracy_over_inner_steps` `(representation, dataset, base_model, readout, inner_step)`; with a
        representation of kind `identity`, `difference_to_random_init` and its ends, where draws, and seeds where both
        have several, are paired; `seeds` and `meta_seeds` `(representation)`, the latter 0 for what is not meta-trained
        here; `seconds` and `peak_mb` `(representation, dataset, base_model)`; `chance`, `n_test` `(dataset)`;
        coordinates `kind (representation)`, `modality (dataset)`, and `depth`, `width`, `activation` `(base_model)`;
        with rules of meta-training runs, `run` and `meta_step` `(representation)`. Embeddings stand beside every base
        model.

        For learners, with intervals over episodes: `accuracy`, `interval`, `difference`, `difference_interval` and
        `reported`, each `(dataset, embedding, learner, way, shots)`; `embedding_kind (embedding)`, `permuted (dataset)`
        and `on_embedding (learner)`. Learners that need no embedding stand under each. A learner that other partitions
        than the first of k-means train is called `<learner>-<partition>`, one that true labels train
        `oracle-<learner>`; coordinates `learner_key`, `partition`, `partitions` and `clusters` tell them apart.

    Raises:
        InputError: there are no evaluations, one is there twice, or they are of different protocols.
    """
    if not evaluations:
        raise InputError("no evaluation to summarise")
    return _learners(evaluations) if "learner" in evaluations[0].attrs else _readouts(evaluations)


def _readouts(evaluations: Sequence[xr.Dataset]) -> xr.Dataset:
    first, by_key = evaluations[0], dict[Key, xr.Dataset]()
    for evaluation in evaluations:
        attrs = evaluation.attrs
        key = Key(str(attrs["method"]), str(attrs["dataset"]), attrs.get("base_model"))
        if key in by_key:
            on = f"dataset {key.dataset!r}" + (f" with base model {key.base_model!r}" if key.base_model else "")
            raise InputError(f"method {key.representation!r} was evaluated twice on {on}")
        by_key[key] = evaluation
        for name in ("readout", "shots", "draw", "draw_over_inner_steps"):
            if not np.array_equal(evaluation[name].values, first[name].values):
                raise InputError(f"evaluations of {next(iter(by_key))} and {key} differ in {name!r}")
    methods = {key.representation: evaluation.attrs for key, evaluation in by_key.items()}
    sizes = {key.representation: evaluation.sizes for key, evaluation in by_key.items()}
    datasets = {key.dataset: evaluation.attrs for key, evaluation in by_key.items()}
    networks = {key.base_model: evaluation.attrs for key, evaluation in by_key.items() if key.base_model}
    coords = {
        "representation": _names(methods),
        "dataset": _names(datasets),
        "base_model": _names(networks or [ANY]),
        "readout": first["readout"].values.astype(object),
        "shots": first["shots"].values,
        "inner_step": np.unique(np.concatenate([evaluation["inner_step"].values for evaluation in evaluations])),
    }
    cells = _placed(by_key, "base_model", coords["base_model"].tolist())
    initial = next((name for name, attrs in methods.items() if attrs["kind"] == INITIAL), None)
    references = {cell: cells.get(cell._replace(representation=str(initial))) for cell in cells}
    cubes = _cubes(
        {
            "accuracy": {cell: e["accuracy"] for cell, e in cells.items()},
            "accuracy_over_inner_steps": {cell: e["accuracy_over_inner_steps"] for cell, e in cells.items()},
            "difference_to_random_init": {
                cell: _less(evaluation["accuracy"], reference["accuracy"])
                for cell, evaluation in cells.items()
                if (reference := references[cell]) is not None
            },
        },
        coords,
    )
    variables = {
        f"{name}{ending}": (cube[end].dims, cube[end].values.clip(-1.0 if "difference" in name else 0.0, 1.0))
        for name, cube in cubes.items()
        for ending, end in zip(("", "_low", "_high"), Interval._fields, strict=True)
    }
    costs = pd.DataFrame([cell._asdict() | _cost(evaluation) for cell, evaluation in cells.items()])
    cost = _cube(costs, Key._fields, coords)
    of_methods: dict[str, Any] = {"kind": _names(attrs["kind"] for attrs in methods.values())}
    if any("meta_step" in attrs for attrs in methods.values()):
        of_methods["run"] = _names(attrs.get("run", "") for attrs in methods.values())
        of_methods["meta_step"] = np.array([float(attrs.get("meta_step", np.nan)) for attrs in methods.values()])
    shapes = {
        name: np.array([attrs[name] for attrs in networks.values()], object if name == "activation" else int)
        for name in SHAPE
        if networks and all(name in attrs for attrs in networks.values())
    }
    summary = xr.Dataset(
        {
            **variables,
            "seconds": cost["seconds"].variable,
            "peak_mb": cost["peak_mb"].variable,
            "seeds": ("representation", np.array([size.get("seed", 0) for size in sizes.values()])),
            "meta_seeds": ("representation", np.array([size.get("meta_seed", 0) for size in sizes.values()])),
            "chance": ("dataset", np.array([1 / attrs["n_classes"] for attrs in datasets.values()])),
            "n_test": ("dataset", np.array([attrs["n_test"] for attrs in datasets.values()])),
        },
        coords={
            **coords,
            "kind": ("representation", of_methods.pop("kind")),
            "modality": ("dataset", _names(attrs.get("modality", "") for attrs in datasets.values())),
            **{name: ("base_model", values) for name, values in shapes.items()},
            **{name: ("representation", values) for name, values in of_methods.items()},
        },
        attrs={
            "interval": "95% over meta-training seeds, seeds and draws",
            "draws": first.sizes["draw"],
            "draws_over_inner_steps": first.sizes["draw_over_inner_steps"],
        },
    )
    for name in (*summary.data_vars, *({"meta_step"} & set(summary.coords))):
        summary[name].attrs["units"] = {"seconds": "s", "peak_mb": "MB"}.get(str(name), "1")
    return _explained(summary, LONG_NAMES)


def _learners(evaluations: Sequence[xr.Dataset]) -> xr.Dataset:
    clusters = next((e.attrs["partition"] for e in evaluations if e.attrs.get("partition_kind") == "k-means"), None)
    first, by_arm = evaluations[0], dict[Arm, xr.Dataset]()
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
    learners = {arm.learner: evaluation.attrs for arm, evaluation in by_arm.items()}
    datasets = {arm.dataset: evaluation.attrs for arm, evaluation in by_arm.items()}
    coords = {
        "dataset": _names(datasets),
        "embedding": _names(kinds),
        "learner": _names(learners),
        "way": first["way"].values,
        "shots": first["shots"].values,
    }
    cells = _placed(by_arm, "embedding", list(kinds))
    nearest: dict[tuple[str, str | None], xr.Dataset] = {}
    for cell, evaluation in cells.items():
        if evaluation.attrs["learner_kind"] == NEAREST:
            nearest.setdefault(cell[:2], evaluation)
    differences = {
        cell: _less(evaluation["accuracy"], nearest[cell[:2]]["accuracy"])
        for cell, evaluation in cells.items()
        if cell[:2] in nearest and nearest[cell[:2]] is not evaluation
    }
    cubes = _cubes({"accuracy": {cell: e["accuracy"] for cell, e in cells.items()}, "difference": differences}, coords)
    empty = xr.DataArray(np.nan, coords, list(coords))
    variables = {}
    for name, half in (("accuracy", "interval"), ("difference", "difference_interval")):
        cube = cubes.get(name, dict.fromkeys(Interval._fields, empty))
        variables[name], variables[half] = cube["mean"], (cube["high"] - cube["low"]) / 2
    places = product(*(values.tolist() for values in coords.values()))
    papers = [reported(d, kinds[e], *rest) if Arm(d, e, rest[0]) in cells else None for d, e, *rest in places]

    def of_training(name: str, otherwise: str | int) -> tuple[str, np.ndarray]:
        values = [attrs.get(name, otherwise) for attrs in learners.values()]
        return "learner", np.array(values, object if isinstance(otherwise, str) else int)

    summary = xr.Dataset(
        {
            **variables,
            "reported": empty.copy(data=np.array(papers, float).reshape(empty.shape)),
            "embedding_kind": ("embedding", _names(kinds.values())),
            "on_embedding": ("learner", np.array(list({a.learner: a.embedding is not None for a in by_arm}.values()))),
        },
        coords={
            **coords,
            "learner_key": of_training("learner", NONE),
            "partition": of_training("partition", NONE),
            "partitions": of_training("partitions", 0),
            "clusters": of_training("clusters", 0),
        },
        attrs={
            "episodes": first.sizes["episode"],
            "queries": int(first.attrs["queries"]),
            "split": first.attrs["split"],
            "seeds": max(evaluation.sizes.get("seed", 1) for evaluation in evaluations),
        },
    )
    permuted = np.array([bool(attrs.get("permuted", 0)) for attrs in datasets.values()])
    return _explained(summary.assign(permuted=("dataset", permuted)), LONG_NAMES_OF_EPISODES)


def _learner(evaluation: xr.Dataset, clusters: str | None) -> str:
    name, partition = str(evaluation.attrs["learner"]), evaluation.attrs.get("partition")
    if evaluation.attrs.get("partition_kind") == "labels":
        return f"{ORACLE}-{name}"
    return name if partition in (None, clusters) else arm_name(name, partition)


def arm_name(learner: str, partition: str) -> str:
    """Return the name of a learner that other partitions train than the usual ones."""
    return f"{learner}-{partition}"


def _placed(by_key: Mapping[Place, xr.Dataset], spread: str, names: Sequence[str]) -> dict[Place, xr.Dataset]:
    """Return the evaluation of every cell: one without `spread` stands under each of `names`."""
    return {
        key._replace(**{spread: name}): evaluation
        for key, evaluation in by_key.items()
        for name in ([getattr(key, spread)] if getattr(key, spread) else names)
    }


def _less(accuracy: xr.DataArray, reference: xr.DataArray) -> xr.DataArray:
    """Return the difference for each random draw; a method of one seed is compared with each seed of the other.

    Learners without seeds learn from clusters of the first seed's features.
    """
    if "seed" not in accuracy.dims:
        return accuracy - reference.isel(seed=0, missing_dims="ignore")
    if accuracy.sizes["seed"] > 1 and reference.sizes.get("seed", 0) != 1:
        return accuracy - reference  # aligns the seeds that both have
    accuracy, reference = (a.isel(seed=0, drop=True) if a.sizes.get("seed") == 1 else a for a in (accuracy, reference))
    difference = accuracy - reference
    return difference if "seed" in difference.dims else difference.expand_dims("seed")


def _cubes(
    values: Mapping[str, Mapping[Place, xr.DataArray]], coords: Mapping[str, np.ndarray]
) -> dict[str, xr.Dataset]:
    """Return mean, low and high of every kind of score over its dimensions, which are among `coords`."""
    rows = [
        score(drawn).to_dataframe().reset_index().assign(score=name, **place._asdict())
        for name, of_name in values.items()
        for place, drawn in of_name.items()
    ]
    cubes = {}
    for name, of_name in pd.concat(rows).groupby("score", sort=False):
        known = of_name.dropna(axis="columns", how="all")
        cubes[str(name)] = _cube(known[known.columns.difference(["score"])], [d for d in coords if d in known], coords)
    return cubes


def _cube(rows: pd.DataFrame, dims: Sequence[str], coords: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Return rows as arrays over `dims`, NaN where there is no row."""
    cube = rows.set_index(list(dims)).to_xarray().reindex({dim: coords[dim] for dim in dims})
    return cube.transpose(*dims).assign_coords({dim: coords[dim] for dim in dims})


def _cost(evaluation: xr.Dataset) -> dict[str, float]:
    return {"seconds": evaluation.attrs["seconds"], "peak_mb": evaluation.attrs.get("peak_mb", np.nan)}


def _names(names: Any) -> np.ndarray:
    return np.array(list(names), dtype=object)


def _explained(summary: xr.Dataset, long_names: Mapping[str, str]) -> xr.Dataset:
    for name, long_name in long_names.items():
        if name in summary.variables:
            summary[name].attrs["long_name"] = long_name
    return summary
