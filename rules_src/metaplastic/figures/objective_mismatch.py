"""The loss of a network beside its few-shot accuracy, over its training (Metz et al. 2019, Figure 2 left)."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metaplastic.features import identity_of
from metaplastic.figures import style
from metaplastic.io.storage import read_netcdf
from metaplastic.results.intervals import crossed_interval

INPUTS = {"summary": "summary", "features": "features over training"}
NEEDS = ("few-shot methods",)
CAPTION = """\
Networks that gradient descent trains without labels, one column per dataset, over the gradient steps on a logarithmic
axis. Above: test accuracy (%) of a logistic regression on the features after so many steps, with 95% bands over seeds
and draws of labels. A star and a dashed line mark the highest accuracy, the title names it and the last one, and the
dotted line is the accuracy of guessing. Below: the loss that the network is trained for, averaged over the last 100
steps, with 95% bands over seeds.
"""

WINDOW = 100
"""Gradient steps over which the loss is averaged."""


def draw(summary: list[Path], features: list[Path]) -> Figure:
    """Draw per dataset a column of two panels over gradient steps: accuracy with its peak marked, and the loss.

    Args:
        summary: the summary of a study.
        features: features stores of its embeddings that were recorded at several gradient steps.

    Raises:
        InputError: a store has no training loss.
    """
    stores = [style.features_with(path, "training_loss", "an embedding that is trained") for path in features]
    results = read_netcdf(summary[0]).sel(readout=style.READOUT).isel(base_model=0)
    looks = style.methods(results)
    datasets = list(dict.fromkeys(identity_of(store).dataset for store in stores))
    figure = Figure(figsize=(1.5 + 5.6 * len(datasets), 7.2), layout="constrained")
    panels = figure.subplots(2, len(datasets), squeeze=False, sharex=True)
    for dataset, axes in zip(datasets, panels[0], strict=True):
        axes.set_title(dataset)
        style.chance_line(axes, float(results["chance"].sel(dataset=dataset)))
    for store, column in product(stores, range(len(datasets))):
        identity = identity_of(store)
        if identity.dataset != datasets[column]:
            continue
        above, below = panels[:, column]
        steps = store["inner_step"].values
        of_method = results.sel(representation=identity.method, dataset=identity.dataset, inner_step=steps)
        peak = _accuracy(above, of_method, looks[identity.method])
        _loss(below, store, looks[identity.method])
        for axes in (above, below):
            axes.axvline(peak, color=looks[identity.method].colour, linestyle="--", linewidth=1.2)
    shots = int(results["shots"].max())
    panels[0, 0].set_ylabel(f"test accuracy (%)\nwith {shots} labels per class")
    panels[1, 0].set_ylabel(f"training loss\nmean of last {WINDOW} steps")
    for axes in panels[0]:
        style.percent_axis(axes)
    for axes in panels[1]:
        axes.set_xlabel("gradient steps")
        axes.set_xscale("log")
    style.legend_above(figure, panels[0, 0], columns=len(looks) + 1)
    return figure


def _accuracy(axes: Axes, results: xr.Dataset, look: style.Look) -> float:
    """Draw accuracy with its 95% band, and return the gradient steps at its peak."""
    steps = results["inner_step"].values
    mean, low, high = style.ends(results, "accuracy_over_inner_steps")
    marked: dict[str, Any] = {"marker": "o", "markersize": 4, "label": look.label}
    style.curve(axes, steps, mean, low, high, linewidth=2, color=look.colour, **marked)
    best = int(mean.argmax())
    star: dict[str, Any] = {"marker": "*", "markersize": 15, "markeredgecolor": "#202020"}
    axes.plot(steps[best], mean[best], color=look.colour, zorder=5, **star)
    largest = f"largest {100 * mean[best]:.1f}% after {steps[best]:,} steps"
    last = f"{100 * mean[-1]:.1f}% after {steps[-1]:,}" if best < len(steps) - 1 else "its last"
    axes.set_title(f"{axes.get_title()}\n{look.label}: {largest}, {last}")
    return float(steps[best])


def _loss(axes: Axes, store: xr.Dataset, look: style.Look) -> None:
    """Draw the mean and, where there are several seeds, its 95% band."""
    losses = np.stack([style.running_mean(loss, WINDOW) for loss in store["training_loss"].values])
    updates = np.arange(losses.shape[1]) + 1
    axes.plot(updates, losses.mean(0), color=look.colour, linewidth=2)
    if len(losses) > 1:
        _, low, high = crossed_interval(losses.T, levels=1)
        axes.fill_between(updates, low, high, color=look.colour, alpha=0.15, linewidth=0)
