"""Meta-training runs side by side: the meta-loss, and the accuracy on data that the loss is not computed on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metaplastic.figures import style
from metaplastic.io.storage import read_zarr

INPUTS = {"histories": "meta-training histories"}
NEEDS = ()
CAPTION = """\
Each curve is one meta-training run, drawn as far as the run has come. The first panel shows the meta-loss, averaged
over the last 20 meta-steps and over seeds; the faint lines are the averages of single seeds, or every meta-step where
there is only one seed. Each other panel shows one kind of data that a run watches: the accuracy (%) of a ridge readout
on the features that the rule learns at that meta-step, as the mean and its standard error over seeds, or over tasks
where there is only one seed. "letters (training)" are characters and faces that meta-training uses; it does not use
"letters (held out)" and the datasets. The line below the panels names the readout, labels, inputs and inner steps. They
differ from those of the table, so the two accuracies cannot be compared.
"""

WINDOW = 20
"""Meta-steps over which the meta-loss is averaged."""
FAINT: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.3}
"""Look of the curves that an averaged one is made from."""
NAMES = {"letters": "letters (training)", "held-out letters": "letters (held out)"}
"""Titles of tasks from characters and faces that meta-training uses, and from those that it does not use."""


def draw(histories: list[Path]) -> Figure:
    """Draw one panel for the meta-loss and one per kind of data that a run watches, with one curve per run."""
    runs = by_run(histories)
    watched = list(dict.fromkeys(name for history in runs.values() for name in history["dataset"].values.tolist()))
    figure, (losses, *panels) = style.panels(1 + len(watched))
    looks = style.of_runs(list(runs))
    for run, history in runs.items():
        _losses(losses, history["meta_step"].values, history["meta_loss"].values, label=run, **looks[run])
    losses.set(title=f"mean of the last {WINDOW} meta-steps", ylabel="meta-loss")
    for axes, name in zip(panels, watched, strict=True):
        for run, history in runs.items():
            if name in history["dataset"].values:
                at = history["evaluation_step"].values
                held_out_curve(axes, history.sel(dataset=name), at, label=run, **looks[run])
        accuracy_axis(axes, name)
    below(figure, "meta-steps", runs)
    style.legend_above(figure, losses, columns=len(runs))
    return figure


def _losses(axes: Axes, steps: np.ndarray, losses: Float[np.ndarray, "seed step"], *, label: str, **look: Any) -> None:
    """Draw the averaged mean over seeds, on the average of each seed, or on every meta-step of a single one."""
    for loss in losses:
        shown = loss if len(losses) == 1 else style.running_mean(loss, WINDOW)
        axes.plot(steps, shown, **{**look, "linestyle": "-"}, **FAINT)
    axes.plot(steps, style.running_mean(losses.mean(0), WINDOW), linewidth=2, label=label, **look)


def by_run(histories: Sequence[Path]) -> dict[str, xr.Dataset]:
    """Return histories by the name of their run, joined along `meta_seed` in the order given."""
    runs: dict[str, list[xr.Dataset]] = {}
    for path in histories:
        history = read_zarr(path)
        runs.setdefault(str(history.attrs["run"]), []).append(history)
    return {run: xr.concat(of_seeds, "meta_seed", join="exact") for run, of_seeds in runs.items()}


def held_out_curve(axes: Axes, history: xr.Dataset, at: np.ndarray, *, label: str, **look: Any) -> None:
    """Draw accuracy on one kind of data, with an entry of `at` for each evaluation.

    The band is the standard error over meta-training seeds, or over tasks where there is a single seed.
    """
    accuracy = history["held_out_accuracy"].values
    seeds = len(accuracy)
    error = accuracy.std(0, ddof=1) / seeds**0.5 if seeds > 1 else history["held_out_sem"].values[0]
    mean = accuracy.mean(0)
    band = mean - error, mean + error
    style.curve(axes, at, mean, *band, marker="o", markersize=4, linewidth=2, label=label, **look)


def accuracy_axis(axes: Axes, name: str) -> None:
    """Set the title and axis of a panel of accuracies on the data of this name."""
    axes.set(title=NAMES.get(name, name), ylabel="accuracy (%)")
    style.percent_axis(axes)


def below(figure: Figure, across: str, runs: dict[str, xr.Dataset]) -> None:
    """Write below the panels what lies across, and how accuracies were measured, which differs from the table."""
    protocols: dict[str, list[str]] = {}
    for run, history in runs.items():
        protocols.setdefault(_protocol(history), []).append(run)
    alike = len(protocols) == 1
    told = [f"accuracy{'' if alike else ' of ' + ', '.join(of)}: {how}" for how, of in protocols.items()]
    figure.supxlabel("\n".join([across, *told]), fontsize="medium")


def _protocol(history: xr.Dataset) -> str:
    attrs = history.attrs
    side, labelled, inner_steps = (attrs.get(name) for name in ("side", "labelled_per_class", "inner_steps"))
    parts = [
        "ridge readout",
        f"{labelled} labels per class" if labelled else "",
        f"{side} x {side} inputs" if side else "",
        f"{inner_steps} inner steps" if inner_steps else "",
    ]
    return ", ".join(filter(None, parts))
