"""Meta-training runs: the meta-loss, and the accuracy on data that the loss is not computed on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rules_src.figures import style
from rules_src.storage import read_zarr

WINDOW = 20
"""Meta-steps that the smoothed meta-loss averages over."""

NAMES = {"letters": "letters (training)", "held-out letters": "letters (held out)"}
"""Watched tasks of characters and faces that meta-training uses, and of those that it does not."""


def draw(histories: list[Path]) -> Figure:
    """Two panels a run, one row each: meta-loss, raw and smoothed, and accuracy with standard errors.

    Args:
        histories: history stores.
    """
    runs = by_run(histories)
    figure = Figure(figsize=(11.5, 3.8 * len(runs)))
    figure.set_layout_engine("constrained", wspace=0.06)
    panels = figure.subplots(len(runs), 2, squeeze=False, sharey="col")
    watched = style.of_data([name for history in runs.values() for name in history["dataset"].values.tolist()])
    for (left, right), (run, history) in zip(panels, runs.items(), strict=True):
        _losses(left, history)
        left.set(xlabel="meta-step", ylabel="meta-loss", title=f"meta-training run {run}")
        left.legend(frameon=False)
        for name in history["dataset"].values.tolist():
            at, label = history["evaluation_step"].values, NAMES.get(name, name)
            held_out_curve(right, history.sel(dataset=name), at, label=label, **watched[name])
        right.set(xlabel="meta-step", ylabel="accuracy (%)", title=protocol(history))
        style.percent_axis(right)
        right.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _losses(axes: Axes, history: xr.Dataset) -> None:
    steps, losses = history["meta_step"].values, history["meta_loss"].values
    if len(losses) == 1:
        axes.plot(steps, losses[0], color="#b8b8b8", linewidth=0.8, label="every meta-step")
        axes.plot(
            steps, style.running_mean(losses[0], WINDOW), color="#303030", linewidth=2, label=f"mean of last {WINDOW}"
        )
        return
    for index, loss in enumerate(losses):
        label = f"each seed, mean of last {WINDOW}" if index == 0 else None
        axes.plot(steps, style.running_mean(loss, WINDOW), color="#b8b8b8", linewidth=0.8, label=label)
    smoothed = style.running_mean(losses.mean(0), WINDOW)
    axes.plot(steps, smoothed, color="#303030", linewidth=2, label=f"mean of {len(losses)} seeds")


def by_run(histories: Sequence[Path]) -> dict[str, xr.Dataset]:
    """Histories by the name of their run, those of its seeds along the axis `meta_seed`, in the order given."""
    runs: dict[str, list[xr.Dataset]] = {}
    for path in histories:
        history = read_zarr(path)
        runs.setdefault(str(history.attrs["run"]), []).append(history)
    return {run: xr.concat(of_seeds, "meta_seed", join="exact") for run, of_seeds in runs.items()}


def protocol(history: xr.Dataset) -> str:
    """How the accuracy of a run was measured, which is not how the table's is."""
    attrs = history.attrs
    side, labelled, inner_steps = (attrs.get(name) for name in ("side", "labelled_per_class", "inner_steps"))
    parts = [
        "ridge readout",
        f"{labelled} labels per class" if labelled else "",
        f"{side} x {side} inputs" if side else "",
        f"{inner_steps} inner steps" if inner_steps else "",
    ]
    return ", ".join(filter(None, parts))


def held_out_curve(axes: Axes, history: xr.Dataset, at: np.ndarray, *, label: str, **look: Any) -> None:
    """Accuracy on one kind of data at `at`, which has an entry for each evaluation.

    The band is the standard error over meta-training seeds; of a single one, over the tasks of its probe.
    """
    accuracy = history["held_out_accuracy"].values
    seeds = len(accuracy)
    error = accuracy.std(0, ddof=1) / seeds**0.5 if seeds > 1 else history["held_out_sem"].values[0]
    mean = accuracy.mean(0)
    axes.plot(at, mean, markersize=4, linewidth=2, label=label, **({"marker": "o"} | look))
    axes.fill_between(at, mean - error, mean + error, color=look["color"], alpha=0.15, linewidth=0)
