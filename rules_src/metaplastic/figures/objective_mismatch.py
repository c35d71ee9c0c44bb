"""The loss of a network beside its few-shot accuracy, over its training (Metz et al. 2019, Figure 2 left)."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from metaplastic.features import identity_of
from metaplastic.figures import style
from metaplastic.results.names import labels

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
    for dataset, axes in zip(datasets, panels[0], strict=True):
        axes.set_title(dataset)
        style.chance_line(axes, float(results["chance"].sel(dataset=dataset)))
    for store in stores:
        identity, steps = identity_of(store), store["inner_step"].values
        above, below = panels[:, datasets.index(identity.dataset)]
        of_method = results.sel(representation=identity.method, dataset=identity.dataset, inner_step=steps)
        label, colour = looks[identity.method]
        mean, low, high = style.ends(of_method, "accuracy_over_inner_steps")
        style.curve(above, steps, mean, low, high, color=colour, marker="o", label=label)
        best = int(mean.argmax())
        star: dict[str, Any] = {"marker": "*", "markersize": 15, "markeredgecolor": "#202020"}
        above.plot(steps[best], mean[best], color=colour, zorder=5, **star)
        peak, last = (f"{100 * mean[at]:.1f}% after {steps[at]:,}" for at in (best, -1))
        said = f"largest {peak} steps, {last}" if best < len(steps) - 1 else f"largest at the end, {peak} steps"
        above.set_title(f"{above.get_title()}\n{label}: {said}")
        losses = np.stack([style.running_mean(loss, WINDOW) for loss in store["training_loss"].values])
        if losses.shape[1] > WINDOW:
            # On a logarithmic axis means over fewer steps would bend the curve where the first whole window ends.
            losses[:, : WINDOW - 1] = np.nan
        style.curve_of_seeds(below, losses.T, color=colour)
        for axes in (above, below):
            axes.axvline(float(steps[best]), color=colour, linestyle="--", linewidth=1.2)
    for axes in panels[0]:
        style.percent_axis(axes)
    panels[0, 0].set_ylabel(f"test accuracy (%)\nwith {labels(int(results['shots'].max()))}")
    style.label_edges(panels, "gradient steps")
    panels[1, 0].set(ylabel=f"training loss\nmean of last {WINDOW} steps", xscale="log")
    style.legend_above(figure, panels[0, 0], columns=len(looks) + 1)
    return figure
