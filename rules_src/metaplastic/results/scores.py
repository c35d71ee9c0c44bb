"""Summaries of studies: every evaluation becomes rows of one table of means and intervals, and that becomes xarray."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from metaplastic.few_shot.reported import reported
from metaplastic.io.errors import InputError
from metaplastic.results.arms import arm_name, usual_partition
from metaplastic.results.intervals import LEVELS, Interval, draws_of, score
from metaplastic.results.selections import INITIAL, NONE, SHAPE

ANY = "any"
"""Base model in a summary of embeddings alone, which have none."""

NEAREST = "nearest-neighbours"
"""Kind of the learner that others on the same embedding are compared with."""

LONG_NAMES = {
    "accuracies": "the same accuracy of every random draw, NaN where a method has fewer",
    "accuracies_over_inner_steps": "the same accuracy of every random draw, NaN where a method has fewer",
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
    "interval": "half of its 95% interval over episodes, and seeds of the embedding where several were evaluated",
    "difference": f"accuracy less that of {NEAREST} on the same embedding and episodes",
    "difference_interval": "half of its 95% interval over episodes",
    "training_steps": "gradient steps on tasks that trained the learner",
    "training_seconds": "time that these took",
    "reported": "accuracy that Hsu et al. 2019 report",
    "embedding_kind": "kind of the embedding or the rule",
    "embedding": "key of the embedding or the rule in the config",
    "learner": "key of the learner in the config, and how its tasks are made if not by the first clusters",
    "way": "classes an episode",
    "permuted": "whether the inputs of the dataset are in a random order",
    "on_embedding": "whether the learner takes features, or clusters of them",
    "learner_key": "key of the learner in the config",
    "learner_kind": "kind of the learner",
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
        same as `accuracy_over_inner_steps` `(representation, dataset, base_model, readout, inner_step)`; `accuracies`
        and `accuracies_over_inner_steps`, every value behind these means, over the random levels too; with a
        representation of kind `identity`, `difference_to_random_init` and its ends, where draws, and seeds where both
        have several, are paired; `seeds` and `meta_seeds` `(representation)`, the latter 0 for what is not meta-trained
        here; `seconds` and `peak_mb` `(representation, dataset, base_model)`; `chance`, `n_test` `(dataset)`;
        coordinates `kind (representation)`, `modality (dataset)`, and `depth`, `width`, `activation` `(base_model)`;
        with rules of meta-training runs, `run` and `meta_step` `(representation)`. Embeddings stand beside every base
        model.

        For learners, with intervals over episodes: `accuracy`, `interval`, `difference`, `difference_interval` and
        `reported`, each `(dataset, embedding, learner, way, shots)`; `accuracies`, every value behind the means, over
        `seed` and `episode` too; `training_steps` and `training_seconds` `(dataset, embedding, learner)`;
        `embedding_kind (embedding)`, `permuted (dataset)` and `on_embedding (learner)`. Learners that need no embedding
        stand under each. A learner that other partitions than the first of k-means train is called
        `<learner>-<partition>`, one that true labels train `oracle-<learner>`; coordinates `learner_key`,
        `learner_kind`, `partition`, `partitions` and `clusters` tell them apart.

    Raises:
        InputError: there are no evaluations, one is there twice, or they are of different protocols.
    """
    if not evaluations:
        raise InputError("no evaluation to summarise")
    return _learners(evaluations) if "learner" in evaluations[0].attrs else _readouts(evaluations)


def _readouts(evaluations: Sequence[xr.Dataset]) -> xr.Dataset:
    first, by_key = evaluations[0], dict[Key, xr.Dataset]()
    for evaluation in evaluations:
        key = Key(evaluation.attrs["method"], evaluation.attrs["dataset"], evaluation.attrs.get("base_model"))
        if key in by_key:
            on = f"dataset {key.dataset!r}" + (f" with base model {key.base_model!r}" if key.base_model else "")
            raise InputError(f"method {key.representation!r} was evaluated twice on {on}")
        by_key[key] = evaluation
        for name in ("readout", "shots", "draw", "draw_over_inner_steps"):
            if not np.array_equal(evaluation[name].values, first[name].values):
                raise InputError(f"evaluations of {next(iter(by_key))} and {key} differ in {name!r}")
    methods, datasets, networks = ({key[axis]: e for key, e in by_key.items() if key[axis]} for axis in range(3))
    coords = {
        "representation": _names(methods),
        "dataset": _names(datasets),
        "base_model": _names(networks or [ANY]),
        "readout": first["readout"].values.astype(object),
        "shots": first["shots"].values,
        "inner_step": np.unique(np.concatenate([evaluation["inner_step"].values for evaluation in evaluations])),
    }
    cells = _placed(by_key, "base_model", coords["base_model"].tolist())
    initial = next((name for name, evaluation in methods.items() if evaluation.attrs["kind"] == INITIAL), "")
    names = ("accuracy", "accuracy_over_inner_steps")
    drawn = {name: {cell: evaluation[name] for cell, evaluation in cells.items()} for name in names}
    every = {name.replace("accuracy", "accuracies"): _draws(of_name, coords) for name, of_name in drawn.items()}
    if initial:
        drawn["difference_to_random_init"] = {
            cell: draws_of(evaluation["accuracy"]) - draws_of(reference["accuracy"])
            for cell, evaluation in cells.items()
            if (reference := cells.get(cell._replace(representation=initial))) is not None
        }
    variables = {
        f"{name}{ending}": (cube[end].dims, cube[end].values.clip(-1.0 if "difference" in name else 0.0, 1.0))
        for name, cube in ((name, _scores(of_name, coords)) for name, of_name in drawn.items())
        for ending, end in zip(("", "_low", "_high"), Interval._fields, strict=True)
    }
    optional = {
        name: _along("base_model", networks, name, object if name == "activation" else int)
        for name in SHAPE
        if networks and all(name in evaluation.attrs for evaluation in networks.values())
    }
    if any("meta_step" in evaluation.attrs for evaluation in methods.values()):
        optional["run"] = _along("representation", methods, "run", otherwise="")
        optional["meta_step"] = _along("representation", methods, "meta_step", float, otherwise=np.nan)
    summary = xr.Dataset(
        {
            **variables,
            **every,
            **_attributes(cells, ("seconds", "peak_mb"), coords),
            "seeds": ("representation", np.array([e.sizes.get("seed", 0) for e in methods.values()])),
            "meta_seeds": ("representation", np.array([e.sizes.get("meta_seed", 0) for e in methods.values()])),
            "chance": ("dataset", 1 / _along("dataset", datasets, "n_classes", int)[1]),
            "n_test": _along("dataset", datasets, "n_test", int),
        },
        coords={
            **coords,
            "kind": _along("representation", methods, "kind"),
            "modality": _along("dataset", datasets, "modality", otherwise=""),
            **optional,
        },
        attrs={
            "interval": "95% over meta-training seeds, seeds and draws",
            "draws": first.sizes["draw"],
            "draws_over_inner_steps": first.sizes["draw_over_inner_steps"],
        },
    )
    for name in (*summary.data_vars, *({"meta_step"} & set(summary.coords))):
        summary[name].attrs["units"] = {"seconds": "s", "peak_mb": "MB"}.get(str(name), "1")
    return _explained(summary, "test accuracy")


def _learners(evaluations: Sequence[xr.Dataset]) -> xr.Dataset:
    of_clusters = [e.attrs for e in evaluations if e.attrs.get("partition_kind") == "k-means"]
    usual = usual_partition({of["partition"]: of.get("partitions", 0) for of in of_clusters})
    first, by_arm = evaluations[0], dict[Arm, xr.Dataset]()
    for evaluation in evaluations:
        arm = Arm(evaluation.attrs["dataset"], evaluation.attrs.get("embedding"), _learner(evaluation, usual))
        if arm in by_arm:
            raise InputError(f"learner {arm.learner!r} was evaluated twice on {arm.dataset!r}, {arm.embedding or NONE}")
        if any(not first[axis].equals(evaluation[axis]) for axis in ("way", "shots", "episode")):
            raise InputError(
                f"learner {arm.learner!r} was evaluated on other episodes than the first; evaluate it again"
            )
        by_arm[arm] = evaluation
    kinds = {arm.embedding: evaluation.attrs["embedding_kind"] for arm, evaluation in by_arm.items() if arm.embedding}
    kinds = kinds or {NONE: NONE}
    datasets, learners = ({arm[axis]: evaluation for arm, evaluation in by_arm.items()} for axis in (0, 2))
    coords = {
        "dataset": _names(datasets),
        "embedding": _names(kinds),
        "learner": _names(learners),
        "way": first["way"].values,
        "shots": first["shots"].values,
    }
    cells = _placed(by_arm, "embedding", list(kinds))
    # If several learners are nearest neighbours, the first is compared with.
    nearest = {cell[:2]: e for cell, e in reversed(cells.items()) if e.attrs["learner_kind"] == NEAREST}
    differences = {
        cell: _less(evaluation["accuracy"], nearest[cell[:2]]["accuracy"])
        for cell, evaluation in cells.items()
        if cell[:2] in nearest and nearest[cell[:2]] is not evaluation
    }
    empty, accuracies = xr.DataArray(np.nan, coords, list(coords)), {at: e["accuracy"] for at, e in cells.items()}
    variables = {"accuracies": _draws(accuracies, coords)}
    for prefix, drawn in (("", accuracies), ("difference_", differences)):
        cube = _scores(drawn, coords) if drawn else dict.fromkeys(Interval._fields, empty)
        variables[prefix.rstrip("_") or "accuracy"] = cube["mean"]
        variables[f"{prefix}interval"] = (cube["high"] - cube["low"]) / 2
    places = product(*(values.tolist() for values in coords.values()))
    tested = first.attrs["split"] == "test"
    benchmarks = {name: e.attrs.get("benchmark", "") if tested else "" for name, e in datasets.items()}
    clusters = {at: evaluation.attrs.get("clusters", 0) for at, evaluation in cells.items()}
    papers = [
        reported(benchmarks[d], kinds[e], *rest, clusters=clusters[at]) if (at := Arm(d, e, rest[0])) in cells else None
        for d, e, *rest in places
    ]
    summary = xr.Dataset(
        {
            **variables,
            **_attributes(cells, ("training_steps", "training_seconds"), coords),
            "reported": empty.copy(data=np.array(papers, float).reshape(empty.shape)),
            "embedding_kind": ("embedding", _names(kinds.values())),
            "on_embedding": ("learner", np.array(list({a.learner: a.embedding is not None for a in by_arm}.values()))),
        },
        coords={
            **coords,
            "learner_key": _along("learner", learners, "learner"),
            "learner_kind": _along("learner", learners, "learner_kind"),
            "partition": _along("learner", learners, "partition", otherwise=NONE),
            "partitions": _along("learner", learners, "partitions", int, otherwise=0),
            "clusters": _along("learner", learners, "clusters", int, otherwise=0),
        },
        attrs={
            "episodes": first.sizes["episode"],
            "queries": int(first.attrs["queries"]),
            "split": first.attrs["split"],
            "seeds": max(evaluation.sizes.get("seed", 1) for evaluation in evaluations),
        },
    )
    permuted = _along("dataset", datasets, "permuted", bool, otherwise=False)
    return _explained(summary.assign(permuted=permuted), "share of the queries, mean over episodes")


def _learner(evaluation: xr.Dataset, usual: str | None) -> str:
    of = evaluation.attrs
    by_labels = of.get("partition_kind") == "labels"
    return arm_name(str(of["learner"]), of.get("partition"), usual=usual, true_labels=by_labels)


def _placed(by_key: Mapping[Place, xr.Dataset], spread: str, names: Sequence[str]) -> dict[Place, xr.Dataset]:
    """Return the evaluation of every cell: one without `spread` stands under each of `names`."""
    return {
        key._replace(**{spread: name}): evaluation
        for key, evaluation in by_key.items()
        for name in ([getattr(key, spread)] if getattr(key, spread) else names)
    }


def _less(accuracy: xr.DataArray, reference: xr.DataArray) -> xr.DataArray:
    """Return the difference for each episode; a learner without seeds learns from clusters of the first seed's."""
    return accuracy - (reference if "seed" in accuracy.dims else reference.isel(seed=0, missing_dims="ignore"))


def _scores(drawn: Mapping[Place, xr.DataArray], coords: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Return mean, low and high over dimensions that are among `coords`."""
    rows = [score(values).to_dataframe().reset_index().assign(**at._asdict()) for at, values in drawn.items()]
    return _cube(pd.concat(rows), [dim for dim in coords if dim in rows[0]], coords)


def _draws(drawn: Mapping[Place, xr.DataArray], coords: Mapping[str, np.ndarray]) -> xr.DataArray:
    """Return every draw over dimensions that are among `coords`, then random levels; NaN where there is none."""
    named = [values.rename("draws").to_dataframe().reset_index().assign(**at._asdict()) for at, values in drawn.items()]
    # What lacks a level has only one member of it.
    rows = pd.concat(named).fillna(dict.fromkeys(LEVELS, 0))
    dims = [dim for dim in (*coords, *LEVELS) if dim in rows]
    return _cube(rows.astype({level: int for level in LEVELS if level in dims}), dims, coords)["draws"]


def _cube(rows: pd.DataFrame, dims: Sequence[str], coords: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Return rows as arrays over `dims`, NaN where there is no row."""
    known = {dim: coords[dim] for dim in dims if dim in coords}
    return rows.set_index(list(dims)).to_xarray().reindex(known).transpose(*dims).assign_coords(known)


def _along(
    dim: str, evaluations: Mapping[Any, xr.Dataset], name: str, dtype: Any = object, *, otherwise: Any = None
) -> tuple[str, np.ndarray]:
    """Return an attribute of the evaluations along a dimension."""
    return dim, np.array([evaluation.attrs.get(name, otherwise) for evaluation in evaluations.values()], dtype)


def _attributes(
    cells: Mapping[Place, xr.Dataset], names: Sequence[str], coords: Mapping[str, np.ndarray]
) -> dict[str, xr.Variable]:
    """Return numbers among the attributes of every cell, NaN where there are none."""
    numbers = {name: [evaluation.attrs.get(name, np.nan) for evaluation in cells.values()] for name in names}
    places = pd.DataFrame(list(cells))
    cube = _cube(places.assign(**numbers), list(places), coords)
    return {name: cube[name].variable for name in names}


def _names(names: Iterable[Any]) -> np.ndarray:
    return np.array(list(names), dtype=object)


def _explained(summary: xr.Dataset, accuracy: str) -> xr.Dataset:
    for name, long_name in {"accuracy": accuracy, **LONG_NAMES}.items():
        if name in summary.variables:
            summary[name].attrs["long_name"] = long_name
    return summary
