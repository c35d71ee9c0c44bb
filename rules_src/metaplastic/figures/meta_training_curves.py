"""Meta-training runs side by side: the meta-loss, and the accuracy on data that the loss is not computed on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
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
NAMES = {"letters": "letters (training)", "held-out letters": "letters (held out)"}
"""Titles of tasks from characters and faces that meta-training uses, and from those that it does not use."""


def draw(histories: list[Path]) -> Figure:
    """Draw one panel for the meta-loss and one per kind of data that a run watches, with one curve per run."""
    runs = by_run(histories)
    watched = list(dict.fromkeys(name for history in runs.values() for name in history["dataset"].values.tolist()))
    figure, (losses, *panels) = style.panels(1 + len(watched))
    for (run, history), look in zip(runs.items(), style.of_runs(list(runs)).values(), strict=True):
        steps, of_seeds = history["meta_step"].values, history["meta_loss"].values
        for loss in of_seeds:
            shown = loss if len(of_seeds) == 1 else style.running_mean(loss, WINDOW)
            losses.plot(steps, shown, color=look["color"], linestyle="-", linewidth=0.8, alpha=0.3)
        losses.plot(steps, style.running_mean(of_seeds.mean(0), WINDOW), linewidth=2, label=run, **look)
    losses.set(title=f"mean of the last {WINDOW} meta-steps", ylabel="meta-loss")
    for axes, name in zip(panels, watched, strict=True):
        accuracies(axes, name, {run: (history, history["evaluation_step"].values) for run, history in runs.items()})
    below(figure, "meta-steps", runs)
    style.legend_above(figure, losses, columns=len(runs))
    return figure


def by_run(histories: Sequence[Path]) -> dict[str, xr.Dataset]:
    """Return histories by the name of their run, joined along `meta_seed` in the order given."""
    runs: dict[str, list[xr.Dataset]] = {}
    for history in map(read_zarr, histories):
        runs.setdefault(str(history.attrs["run"]), []).append(history)
    return {run: xr.concat(of_seeds, "meta_seed", join="exact") for run, of_seeds in runs.items()}


def accuracies(axes: Axes, name: str, runs: dict[str, tuple[xr.Dataset, np.ndarray]]) -> None:
    """Draw the accuracy on what is watched under a name: a curve per run that watches it, given with what lies across.

    The band is the standard error over meta-training seeds, or over tasks where there is a single seed.
    """
    for (run, (history, at)), look in zip(runs.items(), style.of_runs(list(runs)).values(), strict=True):
        if name in history["dataset"].values:
            of_data = history.sel(dataset=name)
            accuracy = of_data["held_out_accuracy"].values
            seeds, mean = len(accuracy), accuracy.mean(0)
            error = accuracy.std(0, ddof=1) / seeds**0.5 if seeds > 1 else of_data["held_out_sem"].values[0]
            style.curve(axes, at, mean, mean - error, mean + error, marker="o", label=run, **look)
    axes.set(title=NAMES.get(name, name), ylabel="accuracy (%)")
    style.percent_axis(axes)


def below(figure: Figure, across: str, runs: dict[str, xr.Dataset]) -> None:
    """Write below the panels what lies across, and how accuracies were measured, which differs from the table."""
    parts = (("labelled_per_class", "labels per class"), ("side", "x {} inputs"), ("inner_steps", "inner steps"))
    protocols: dict[str, list[str]] = {}
    for run, history in runs.items():
        numbers = ((history.attrs.get(key), text) for key, text in parts)
        known = [f"{number} {text}".format(number) for number, text in numbers if number]
        protocols.setdefault(", ".join(["ridge readout", *known]), []).append(run)
    told = [f"accuracy{'' if len(protocols) == 1 else ' of ' + ', '.join(of)}: {how}" for how, of in protocols.items()]
    figure.supxlabel("\n".join([across, *told]), fontsize="medium")
