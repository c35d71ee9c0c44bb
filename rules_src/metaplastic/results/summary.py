"""Every evaluation of a study in one table of means and intervals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from metaplastic.io.errors import InputError
from metaplastic.results.intervals import crossed_interval
from metaplastic.results.tables import MISSING, Table, markdown, percent

REFERENCE = "identity"
"""Kind of the method that the others are compared with: the base model as it was initialised."""

TABLE_READOUT = "logistic-regression"

ANY = "any"
"""Base model in a summary of nothing but embeddings, which have none."""

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


CELL = ("representation", "dataset", "base_model")

Cell = tuple[str, str, str]


class Key(NamedTuple):
    """What an evaluation is of; embeddings have no base model."""

    representation: str
    dataset: str
    base_model: str | None


def summarise(evaluations: Sequence[xr.Dataset]) -> xr.Dataset:
    """Means and 95% intervals over meta-training seeds where there are any, seeds and draws; shares in [0, 1].

    Args:
        evaluations: results of `few_shot.evaluate` with the attributes of the features that they are of, all of one
            protocol; not every representation has to be there on every dataset and base model.

    Returns:
        `accuracy`, `accuracy_low`, `accuracy_high` `(representation, dataset, base_model, readout, shots)`, and the
        same as `accuracy_over_inner_steps` `(representation, dataset, base_model, readout, inner_step)`, NaN where
        there is no such evaluation or step; with a representation of kind `identity`, `difference_to_random_init` and
        its `_low` and `_high`, where draws, and seeds where both have several, are paired; `seeds` and `meta_seeds`
        `(representation)`, the latter 0 for what is not meta-trained here; `seconds` and `peak_mb` `(representation,
        dataset, base_model)`; `chance`, `n_test` `(dataset)`; coordinates `kind (representation)`, `modality
        (dataset)`, and `depth`, `width`, `activation` `(base_model)`; with rules of meta-training runs, `run` and
        `meta_step` `(representation)`.

    Raises:
        InputError: there is none, one is there twice, or they are of different protocols.
    """
    by_key = _by_key(evaluations)
    representations = list(dict.fromkeys(key.representation for key in by_key))
    datasets = list(dict.fromkeys(key.dataset for key in by_key))
    base_models = list(dict.fromkeys(key.base_model for key in by_key if key.base_model)) or [ANY]
    first = evaluations[0]
    for evaluation in evaluations:
        for name in ("readout", "shots", "draw", "draw_over_inner_steps"):
            if not np.array_equal(evaluation[name].values, first[name].values):
                raise InputError(f"evaluations of {_key(first)} and {_key(evaluation)} differ in {name!r}")
    kinds = {key.representation: str(evaluation.attrs["kind"]) for key, evaluation in by_key.items()}
    coords = {
        "representation": np.array(representations, dtype=object),
        "dataset": np.array(datasets, dtype=object),
        "base_model": np.array(base_models, dtype=object),
        "readout": first["readout"].values.astype(object),
        "shots": first["shots"].values,
        "inner_step": np.unique(np.concatenate([evaluation["inner_step"].values for evaluation in evaluations])),
    }
    cells = _cells(by_key, base_models)
    final, over_steps = (*CELL, "readout", "shots"), (*CELL, "readout", "inner_step")
    accuracy = {cell: e["accuracy"] for cell, e in cells.items()}
    early = {cell: e["accuracy_over_inner_steps"] for cell, e in cells.items()}
    variables = {
        **_intervals("accuracy", accuracy, final, coords),
        **_intervals("accuracy_over_inner_steps", early, over_steps, coords),
    }
    reference = next((name for name in representations if kinds[name] == REFERENCE), None)
    if reference is not None:
        differences = {
            cell: _paired_difference(values, accuracy[reference, *cell[1:]])
            for cell, values in accuracy.items()
            if (reference, *cell[1:]) in accuracy
        }
        variables |= _intervals("difference_to_random_init", differences, final, coords, lowest=-1.0)
    seconds, peak = np.full((2, *(len(coords[dim]) for dim in CELL)), np.nan)
    for cell, evaluation in cells.items():
        seconds[_place(cell, coords)] = evaluation.attrs["seconds"]
        peak[_place(cell, coords)] = evaluation.attrs.get("peak_mb", np.nan)
    of_dataset = {key.dataset: evaluation.attrs for key, evaluation in by_key.items()}
    summary = xr.Dataset(
        {
            **variables,
            "seconds": (CELL, seconds, {"units": "s"}),
            "peak_mb": (CELL, peak, {"units": "MB"}),
            "seeds": ("representation", _counts(by_key, representations, "seed"), {"units": "1"}),
            "meta_seeds": ("representation", _counts(by_key, representations, "meta_seed"), {"units": "1"}),
            "chance": ("dataset", np.array([1 / of_dataset[d]["n_classes"] for d in datasets]), {"units": "1"}),
            "n_test": ("dataset", np.array([of_dataset[d]["n_test"] for d in datasets]), {"units": "1"}),
        },
        coords={
            **coords,
            "kind": ("representation", np.array([kinds[r] for r in representations], dtype=object)),
            "modality": ("dataset", np.array([of_dataset[d].get("modality", "") for d in datasets], dtype=object)),
            **_shapes(by_key, base_models),
            **_snapshots(by_key, representations),
        },
        attrs={
            "interval": "95% over meta-training seeds, seeds and draws",
            "draws": first.sizes["draw"],
            "draws_over_inner_steps": first.sizes["draw_over_inner_steps"],
        },
    )
    for name, long_name in LONG_NAMES.items():
        if name in summary.variables:
            summary[name].attrs["long_name"] = long_name
    return summary


def markdown_table(summary: xr.Dataset) -> str:
    """Percent of the test split, logistic regression, best of each column in bold: at the most shots, at the fewest.

    With a randomly initialised base model among the methods, a table in between says by how many points each differs
    from it. The last one says how long each took.
    """
    most, fewest = (int(shots) for shots in (summary["shots"].values.max(), summary["shots"].values.min()))
    cells = _at(most, summary)
    caption = (
        f"Test accuracy in percent of a logistic regression fitted on {_labelled(most)} a class; ± is half of the 95% "
        f"interval over seeds and draws of labels ({summary.attrs['draws']} draws){_of_meta_training(summary)}; best "
        "in bold."
    )
    parts = [*markdown(headline(summary)), "", caption, ""]
    name = "difference_to_random_init"
    if name in summary:
        reference = str(cells["representation"].values[cells["kind"].values == REFERENCE][0])
        others = cells.isel(representation=np.flatnonzero(cells["representation"].values != reference))
        parts += [*markdown(_texts(others, name, f"Points over {reference}", "+")), ""]
        parts += [f"The same accuracies minus those of {reference} on the same draws of labels.", ""]
    if fewest < most:
        parts += [*markdown(_accuracies(_at(fewest, summary))), ""]
        parts += [f"As above, with {_labelled(fewest)} a class.", ""]
    durations = [_head("Seconds", summary)]
    for representation in summary["representation"].values.tolist():
        seconds = _columns(summary["seconds"].sel(representation=representation), summary)
        durations.append([representation, *(MISSING if np.isnan(value) else f"{value:.1f}" for value in seconds)])
    parts += [
        *markdown(durations),
        "",
        "Wall-clock time to learn from the unlabelled training examples and to embed all, all seeds together, with "
        "compilation where it was not cached and without meta-training, as it was in this run.",
        "",
    ]
    return "\n".join(parts)


def headline(summary: xr.Dataset) -> Table:
    """The first of these tables: every method at the most shots, and guessing."""
    return _accuracies(_at(int(summary["shots"].values.max()), summary))


def _at(shots: int, summary: xr.Dataset) -> xr.Dataset:
    """What tables show of so many shots."""
    return summary.sel(readout=TABLE_READOUT, shots=shots)


def _accuracies(cells: xr.Dataset) -> Table:
    chance = [f"{100 * value:.1f}" for value in _columns(cells["chance"], cells)]
    return [*_texts(cells, "accuracy", "Method", ""), ["chance", *chance]]


def _of_meta_training(summary: xr.Dataset) -> str:
    """What intervals do with the spread between meta-training runs, where there are any."""
    counts = sorted({int(count) for count in summary["meta_seeds"].values if count})
    if not counts:
        return ""
    if counts == [1]:
        return ", not over meta-training, which has one seed"
    return f", of rules meta-trained here over {' or '.join(map(str, counts))} meta-training seeds too"


def _labelled(shots: int) -> str:
    return f"{shots} labelled {'example' if shots == 1 else 'examples'}"


def _columns(values: xr.DataArray, summary: xr.Dataset) -> list[float]:
    """Values in the order of a table's columns: datasets, for one base model after the other."""
    full = values.broadcast_like(summary["n_test"] * xr.ones_like(summary["base_model"], dtype=float))
    columns: list[float] = full.transpose("base_model", "dataset").values.ravel().tolist()
    return columns


def _head(title: str, summary: xr.Dataset) -> list[str]:
    datasets, base_models = summary["dataset"].values.tolist(), summary["base_model"].values.tolist()
    columns = [(dataset, base_model) for base_model in base_models for dataset in datasets]
    return [title, *(dataset if len(base_models) == 1 else f"{dataset}, {name}" for dataset, name in columns)]


def _texts(cells: xr.Dataset, name: str, title: str, sign: str) -> Table:
    """Mean and half interval width in percent: methods by datasets and base models."""
    rows = [_head(title, cells)]
    best = _columns(cells[name].max("representation"), cells)
    for representation in cells["representation"].values.tolist():
        row = cells.sel(representation=representation)
        ends = [_columns(row[variable], cells) for variable in (name, f"{name}_low", f"{name}_high")]
        texts = (
            percent(mean, (high - low) / 2, sign=sign, largest=largest)
            for mean, low, high, largest in zip(*ends, best, strict=True)
        )
        rows.append([representation, *texts])
    return rows


def _key(evaluation: xr.Dataset) -> Key:
    attrs = evaluation.attrs
    return Key(str(attrs["method"]), str(attrs["dataset"]), attrs.get("base_model"))


def _by_key(evaluations: Sequence[xr.Dataset]) -> dict[Key, xr.Dataset]:
    if not evaluations:
        raise InputError("no evaluation to summarise")
    by_key: dict[Key, xr.Dataset] = {}
    for evaluation in evaluations:
        if (key := _key(evaluation)) in by_key:
            base_model = f" with base model {key.base_model!r}" if key.base_model else ""
            raise InputError(
                f"method {key.representation!r} was evaluated twice on dataset {key.dataset!r}{base_model}"
            )
        by_key[key] = evaluation
    return by_key


def _cells(by_key: Mapping[Key, xr.Dataset], base_models: Sequence[str]) -> dict[Cell, xr.Dataset]:
    """Evaluations by their place in the summary: what has no base model stands beside every one of the others."""
    return {
        (key.representation, key.dataset, base_model): evaluation
        for key, evaluation in by_key.items()
        for base_model in ([key.base_model] if key.base_model else base_models)
    }


def _counts(by_key: Mapping[Key, xr.Dataset], representations: Sequence[str], level: str) -> np.ndarray:
    counts = {key.representation: evaluation.sizes.get(level, 0) for key, evaluation in by_key.items()}
    return np.array([counts[representation] for representation in representations])


def _shapes(by_key: Mapping[Key, xr.Dataset], base_models: Sequence[str]) -> dict[str, tuple[str, np.ndarray]]:
    """Depth, width and activation of each base model, where evaluations tell."""
    attrs = {key.base_model: evaluation.attrs for key, evaluation in by_key.items() if key.base_model}
    names = [name for name in ("depth", "width", "activation") if all(name in of for of in attrs.values())]
    values = {name: [attrs[base_model][name] for base_model in base_models] for name in names if attrs}
    return {
        name: ("base_model", np.array(of, dtype=object if name == "activation" else int)) for name, of in values.items()
    }


def _snapshots(
    by_key: Mapping[Key, xr.Dataset], representations: Sequence[str]
) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    """Which run each rule is of, and after how many of its meta-steps, if any is of one."""
    attrs = {key.representation: evaluation.attrs for key, evaluation in by_key.items()}
    if not any("meta_step" in of for of in attrs.values()):
        return {}
    runs = np.array([attrs[name].get("run", "") for name in representations], dtype=object)
    steps = np.array([float(attrs[name].get("meta_step", np.nan)) for name in representations])
    return {"run": ("representation", runs, {}), "meta_step": ("representation", steps, {"units": "1"})}


def _place(cell: Cell, coords: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    return tuple(int(np.flatnonzero(coords[dim] == name)[0]) for dim, name in zip(CELL, cell, strict=True))


def _intervals(
    name: str,
    values: Mapping[Cell, xr.DataArray],
    dims: tuple[str, ...],
    coords: Mapping[str, np.ndarray],
    *,
    lowest: float = 0.0,
) -> dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]]:
    """Mean, low and high of shares over all but `readout` and the last of `dims`, as variables over `dims`."""
    arrays = np.full((3, *(len(coords[dim]) for dim in dims)), np.nan)
    for cell, shares in values.items():
        columns = np.searchsorted(coords[dims[-1]], shares[dims[-1]].values)
        # The place picks a view (end, readout, last of dims).
        row, column, base_model = _place(cell, coords)
        ordered = shares.transpose("readout", dims[-1], ...).values
        interval = np.stack(crossed_interval(ordered, ordered.ndim - 2))
        arrays[:, row, column, base_model][..., columns] = interval.clip(lowest, 1.0)
    ends = zip(("", "_low", "_high"), arrays, strict=True)
    return {f"{name}{end}": (dims, array, {"units": "1"}) for end, array in ends}


def _paired_difference(accuracy: xr.DataArray, reference: xr.DataArray) -> xr.DataArray:
    """Difference for each seed and draw; a method of one seed is compared with each seed of the other."""
    if accuracy.sizes["seed"] == 1 or reference.sizes["seed"] == 1:
        accuracy, reference = (a.isel(seed=0, drop=True) if a.sizes["seed"] == 1 else a for a in (accuracy, reference))
        difference = accuracy - reference
        if "seed" not in difference.dims:
            difference = difference.expand_dims("seed")
    else:
        difference = accuracy - reference  # aligns the seeds that both have
    return difference
