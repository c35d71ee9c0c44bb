"""Every evaluation of a study in one table of means and intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from rules_src.errors import InputError
from rules_src.evaluate.intervals import crossed_interval

RANDOM_INIT = "random-init"
"""Method that the others are compared with: the base model as it was initialised."""

TABLE_READOUT = "logistic-regression"

Key = tuple[str, str, str]
Values = Float[np.ndarray, "*rest seed draw"]


def summarise(evaluations: Sequence[xr.Dataset]) -> xr.Dataset:
    """Means and 95% intervals over seeds and draws, all shares in [0, 1].

    Args:
        evaluations: results of `few_shot.evaluate` with attributes `method`, `dataset` and `base_model`, one for each
            combination of those, all of the same protocol.

    Returns:
        `mean`, `low`, `high` `(method, dataset, base_model, readout, shots)`, and the same with the suffix
        `_over_inner_steps` `(method, dataset, base_model, readout, inner_step)`, NaN where a method has no such step;
        with a method `random-init`, `difference_to_random_init` and its `_low` and `_high`, where draws, and seeds
        where both methods have several, are paired; `chance`, `n_test` `(dataset)`.

    Raises:
        InputError: a combination is missing or there twice, or the evaluations are of different protocols.
    """
    by_key = _by_key(evaluations)
    methods, datasets, base_models = (list(dict.fromkeys(key[axis] for key in by_key)) for axis in range(3))
    for key in ((m, d, b) for m in methods for d in datasets for b in base_models):
        if key not in by_key:
            raise InputError(f"no evaluation of method {key[0]!r} on dataset {key[1]!r} with base model {key[2]!r}")
    first = evaluations[0]
    for evaluation in evaluations:
        for name in ("readout", "shots", "draw", "draw_over_inner_steps"):
            if not np.array_equal(evaluation[name].values, first[name].values):
                raise InputError(f"evaluations of {_key(first)} and {_key(evaluation)} differ in {name!r}")
    steps = np.unique(np.concatenate([evaluation["inner_step"].values for evaluation in evaluations]))
    coords = {
        "method": np.array(methods, dtype=object),
        "dataset": np.array(datasets, dtype=object),
        "base_model": np.array(base_models, dtype=object),
        "readout": first["readout"].values.astype(object),
        "shots": first["shots"].values,
        "inner_step": steps,
    }
    final = ("method", "dataset", "base_model", "readout", "shots")
    over_steps = (*final[:-1], "inner_step")
    variables = {
        **_intervals({key: e["accuracy"] for key, e in by_key.items()}, final, coords, ("mean", "low", "high")),
        **_intervals(
            {key: e["accuracy_over_inner_steps"] for key, e in by_key.items()},
            over_steps,
            coords,
            ("mean_over_inner_steps", "low_over_inner_steps", "high_over_inner_steps"),
        ),
    }
    if RANDOM_INIT in methods:
        differences = {
            (m, d, b): _paired_difference(e["accuracy"], by_key[RANDOM_INIT, d, b]["accuracy"])
            for (m, d, b), e in by_key.items()
        }
        name = "difference_to_random_init"
        variables |= _intervals(differences, final, coords, (name, f"{name}_low", f"{name}_high"), lowest=-1.0)
    of_dataset = [by_key[methods[0], dataset, base_models[0]].attrs for dataset in datasets]
    variables["chance"] = ("dataset", np.array([1 / attrs["n_classes"] for attrs in of_dataset]), {"units": "1"})
    variables["n_test"] = ("dataset", np.array([attrs["n_test"] for attrs in of_dataset]), {})
    counts = {"draws": first.sizes["draw"], "draws_over_inner_steps": first.sizes["draw_over_inner_steps"]}
    return xr.Dataset(variables, coords=coords, attrs={"interval": "95% over seeds and draws", **counts})


def markdown_table(summary: xr.Dataset) -> str:
    """Percent of the test split, logistic regression, best of each column in bold: at the most shots, at the fewest.

    With a method `random-init`, a table in between says by how many points each method differs from it.
    """
    most, fewest = (int(shots) for shots in (summary["shots"].values.max(), summary["shots"].values.min()))
    cells = summary.sel(readout=TABLE_READOUT, shots=most)
    caption = (
        f"Test accuracy in percent of a logistic regression fitted on {_labelled(most)} a class; ± is half of the 95% "
        f"interval over seeds and draws of labels ({summary.attrs['draws']} draws); best in bold."
    )
    parts = [*_rows(cells, ("mean", "low", "high"), "Method", ""), "", caption, ""]
    if "difference_to_random_init" in summary:
        others = cells.drop_sel({"method": RANDOM_INIT})
        name = "difference_to_random_init"
        parts += [*_rows(others, (name, f"{name}_low", f"{name}_high"), f"Points over {RANDOM_INIT}", "+"), ""]
        parts += [f"The same accuracies minus those of {RANDOM_INIT} on the same draws of labels.", ""]
    if fewest < most:
        cells = summary.sel(readout=TABLE_READOUT, shots=fewest)
        parts += [*_rows(cells, ("mean", "low", "high"), "Method", ""), ""]
        parts += [f"As above, with {_labelled(fewest)} a class.", ""]
    return "\n".join(parts)


def _labelled(shots: int) -> str:
    return f"{shots} labelled {'example' if shots == 1 else 'examples'}"


def _rows(cells: xr.Dataset, names: tuple[str, str, str], title: str, sign: str) -> list[str]:
    """A Markdown table of mean and half interval width in percent: methods by datasets and base models."""
    datasets, base_models = cells["dataset"].values.tolist(), cells["base_model"].values.tolist()
    columns = [(dataset, base_model) for base_model in base_models for dataset in datasets]
    heads = [dataset if len(base_models) == 1 else f"{dataset}, {base_model}" for dataset, base_model in columns]
    rows = [f"| {title} | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for method in cells["method"].values.tolist():
        texts = []
        for dataset, base_model in columns:
            column = cells.sel(dataset=dataset, base_model=base_model)
            mean, low, high = (100 * column[name].sel({"method": method}).item() for name in names)
            # Equal as printed is equally bold.
            best = f"{100 * column[names[0]].max().item():.1f}" == f"{mean:.1f}"
            text = f"{mean:{sign}.1f} ± {(high - low) / 2:.1f}"
            texts.append(f"**{text}**" if best else text)
        rows.append(f"| {method} | {' | '.join(texts)} |")
    return rows


def _key(evaluation: xr.Dataset) -> Key:
    attrs = evaluation.attrs
    return str(attrs["method"]), str(attrs["dataset"]), str(attrs["base_model"])


def _by_key(evaluations: Sequence[xr.Dataset]) -> dict[Key, xr.Dataset]:
    if not evaluations:
        raise InputError("no evaluation to summarise")
    by_key: dict[Key, xr.Dataset] = {}
    for evaluation in evaluations:
        if (key := _key(evaluation)) in by_key:
            raise InputError(f"method {key[0]!r} was evaluated twice on dataset {key[1]!r} with base model {key[2]!r}")
        by_key[key] = evaluation
    return by_key


def _intervals(
    values: Mapping[Key, xr.DataArray],
    dims: tuple[str, ...],
    coords: Mapping[str, np.ndarray],
    names: tuple[str, str, str],
    *,
    lowest: float = 0.0,
) -> dict[str, tuple[str | tuple[str, ...], np.ndarray, dict[str, str]]]:
    """Mean, low and high of accuracies `(readout, <last of dims>, seed, draw)`, as variables over `dims`."""
    arrays = np.full((3, *(len(coords[dim]) for dim in dims)), np.nan)
    for key, accuracy in values.items():
        place = tuple(int(np.flatnonzero(coords[dim] == name)[0]) for dim, name in zip(dims, key, strict=False))
        columns = np.searchsorted(coords[dims[-1]], accuracy[dims[-1]].values)
        interval = np.stack(crossed_interval(accuracy.values))
        # `place` picks a view (end, readout, last of dims).
        arrays[:, place[0], place[1], place[2]][:, :, columns] = interval.clip(lowest, 1.0)
    return {name: (dims, array, {"units": "1"}) for name, array in zip(names, arrays, strict=True)}


def _paired_difference(accuracy: xr.DataArray, reference: xr.DataArray) -> xr.DataArray:
    """Difference for each seed and draw; a method of one seed is compared with each seed of the other."""
    if accuracy.sizes["seed"] == 1 or reference.sizes["seed"] == 1:
        accuracy, reference = (a.isel(seed=0, drop=True) if a.sizes["seed"] == 1 else a for a in (accuracy, reference))
        difference = accuracy - reference
        if "seed" not in difference.dims:
            difference = difference.expand_dims("seed")
    else:
        difference = accuracy - reference  # aligns the seeds that both have
    return difference.transpose("readout", "shots", "seed", "draw")
