"""The loss of a network beside its few-shot accuracy, over its training (Metz et al. 2019, Figure 2 left)."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metaplastic.features import identity_of
from metaplastic.figures import style

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
    """Draw per dataset accuracy with its peak marked, above the loss; raise InputError if a store has no loss."""
    stores = [style.features_with(path, "training_loss", "an embedding that is trained") for path in features]
    results = style.of_few_shot(summary[0]).isel(base_model=0)
    looks = style.methods(results)
    datasets = list(dict.fromkeys(identity_of(store).dataset for store in stores))
    figure, panels = style.grid(2, len(datasets), (1.5 + 5.6 * len(datasets), 7.2), sharex=True)
    for dataset, (above, below) in zip(datasets, panels.T, strict=True):
        above.set_title(dataset)
        style.chance_line(above, float(results["chance"].sel(dataset=dataset)))
        for store in stores:
            if identity_of(store).dataset == dataset:
                method, steps = identity_of(store).method, store["inner_step"].values
                of_method = results.sel(representation=method, dataset=dataset, inner_step=steps)
                peak = _accuracy(above, of_method, looks[method])
                losses = np.stack([style.running_mean(loss, WINDOW) for loss in store["training_loss"].values])
                style.curve_of_seeds(below, losses.T, color=looks[method].colour)
                for axes in (above, below):
                    axes.axvline(peak, color=looks[method].colour, linestyle="--", linewidth=1.2)
        style.percent_axis(above)
    panels[0, 0].set_ylabel(f"test accuracy (%)\nwith {int(results['shots'].max())} labels per class")
    style.label_edges(panels, "gradient steps")
    panels[1, 0].set(ylabel=f"training loss\nmean of last {WINDOW} steps", xscale="log")
    style.legend_above(figure, panels[0, 0], columns=len(looks) + 1)
    return figure


def _accuracy(axes: Axes, results: xr.Dataset, look: style.Look) -> float:
    """Draw accuracy with its 95% band, and return the gradient steps at its peak."""
    steps = results["inner_step"].values
    mean, low, high = style.ends(results, "accuracy_over_inner_steps")
    style.curve(axes, steps, mean, low, high, color=look.colour, marker="o", label=look.label)
    best = int(mean.argmax())
    star: dict[str, Any] = {"marker": "*", "markersize": 15, "markeredgecolor": "#202020"}
    axes.plot(steps[best], mean[best], color=look.colour, zorder=5, **star)
    peak, last = (f"{100 * mean[at]:.1f}% after {steps[at]:,}" for at in (best, -1))
    said = f"largest {peak} steps, {last}" if best < len(steps) - 1 else f"largest at the end, {peak} steps"
    axes.set_title(f"{axes.get_title()}\n{look.label}: {said}")
    return float(steps[best])
