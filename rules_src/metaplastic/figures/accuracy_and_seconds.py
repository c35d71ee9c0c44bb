"""What methods are worth on data that no rule has seen, and the time they take (Metz et al. 2019, Figure 4)."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from metaplastic.figures import style
from metaplastic.figures.few_shot_bars import bars, legend, method_rows

INPUTS = {"summary": "summary"}
NEEDS = ("few-shot methods", "several methods")
ON_REQUEST = True
CAPTION = """\
One row per dataset. Left: test accuracy (%) of a logistic regression on a few labelled examples per class. Bars show
the accuracy with the most labels and marks the accuracy with fewer, with 95% intervals over seeds and draws of labels;
the dotted line is the accuracy of guessing. Right, on a logarithmic axis: the wall-clock seconds that each method took
on this machine to learn from the unlabelled examples and to embed all examples, for all seeds together. Compilation is
included, meta-training is not.
"""

SHORTEST = 0.01
"""Seconds at which the axis begins, since stores hold no more digits."""


def draw(summary: list[Path]) -> Figure:
    """Draw one row per dataset: accuracies as in `few_shot_bars`, and seconds; of several base models the first one."""
    results = style.of_few_shot(summary[0]).isel(base_model=0)
    looks, datasets = style.methods(results), results["dataset"].values.tolist()
    size, widths = (11, 1.0 + (0.8 + 0.34 * len(looks)) * len(datasets)), [3, 2]
    figure, panels = style.grid(len(datasets), 2, size, sharex="col", width_ratios=widths)
    for dataset, (left, right) in zip(datasets, panels, strict=True):
        cell = results.sel(dataset=dataset)
        bars(left, cell, looks, style.highest(results, "accuracy"))
        for place, (method, look) in enumerate(looks.items()):
            seconds = float(cell["seconds"].sel(representation=method))
            if np.isfinite(seconds):
                bar = right.barh(place, max(seconds, SHORTEST), 0.72, color=look.colour, alpha=0.75, zorder=2)
                text = f"{seconds:.2g}" if seconds < 100 else f"{seconds:.0f}"
                right.bar_label(bar, [text], padding=4, fontsize="small")
        method_rows(right, looks)
        right.set_yticklabels([])
        left.set_title(dataset)
    panels[-1, 0].set_xlabel("test accuracy (%)")
    panels[-1, 1].set(xlabel="seconds to learn and to embed, all seeds", xscale="log")
    panels[-1, 1].set_xlim(SHORTEST, 4 * max(1.0, float(results["seconds"].max())))
    legend(figure, results["shots"].values.tolist())
    return figure
