"""Few-shot accuracy of every method, by dataset and number of labelled examples."""

from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metaplastic.figures import style
from metaplastic.results.names import labels

INPUTS = {"summary": "summary"}
NEEDS = ("few-shot methods",)
CAPTION = """\
Test accuracy (%) of a logistic regression that learns from a few labelled examples per class. Each column is a dataset
and each bar a method: update rules first, then embeddings that no update rule trains. The bar shows the accuracy with
the most labels, the marks the accuracy with fewer. Black lines are 95% intervals over seeds and draws of labelled
examples, and over meta-training seeds where a rule is meta-trained here. The dotted line is the accuracy of guessing.
"""

MARKS = "osD^v"
"""Marks of all but the largest number of labelled examples, from few to many."""
MARK: dict[str, Any] = {"markersize": 4.5, "color": "#202020", "markerfacecolor": "white"}


def draw(summary: list[Path]) -> Figure:
    """Draw bars at the most labelled examples and marks at fewer: a column per dataset, a row per base model."""
    results = style.of_few_shot(summary[0])
    looks = style.methods(results)
    datasets, base_models = results["dataset"].values.tolist(), results["base_model"].values.tolist()
    size = (2.4 + 3.4 * len(datasets), 1.2 + (0.4 + 0.34 * len(looks)) * len(base_models))
    figure, panels = style.grid(len(base_models), len(datasets), size, sharey=True, sharex=True)
    for axes, (base_model, dataset) in zip(panels.flat, product(base_models, datasets), strict=True):
        cell = results.sel(dataset=dataset, base_model=base_model)
        bars(axes, cell, looks, style.highest(results, "accuracy"))
        axes.set_title(dataset if len(base_models) == 1 else f"{dataset}, base model {base_model}")
    style.label_edges(panels, "test accuracy (%)")
    legend(figure, results["shots"].values.tolist())
    return figure


def bars(axes: Axes, cell: xr.Dataset, looks: dict[str, style.Look], highest: float) -> None:
    """Draw every method's accuracies on one dataset with one base model, from the first method down."""
    for place, (method, look) in enumerate(looks.items()):
        mean, low, high = style.ends(cell.sel(representation=method))
        errors = np.stack([mean - low, high - mean])
        bar: dict[str, Any] = {"color": look.colour, "alpha": 0.75, "error_kw": style.INTERVAL}
        axes.barh(place, mean[-1], 0.72, xerr=errors[:, -1:], zorder=2, **bar)
        for index, mark in zip(range(len(mean) - 1), cycle(MARKS), strict=False):
            axes.errorbar(mean[index], place, xerr=errors[:, [index]], elinewidth=1.0, marker=mark, zorder=3, **MARK)
    method_rows(axes, looks)
    style.accuracy_across(axes, float(cell["chance"]), highest)


def method_rows(axes: Axes, looks: dict[str, style.Look]) -> None:
    """Give each method a row of a panel, the first on top."""
    axes.grid(visible=False, axis="y")
    axes.set_yticks(range(len(looks)), [look.label for look in looks.values()])
    axes.set_ylim(len(looks) - 0.4, -0.6)


def legend(figure: Figure, shots: list[int]) -> None:
    """Say above the panels what bars, marks and the dotted line are."""
    *fewer, most = map(labels, shots)
    marks = [style.entry(label, marker=mark, linewidth=1.0, **MARK) for label, mark in zip(fewer, MARKS, strict=False)]
    style.legend_above(figure, [style.entry(most, linewidth=8, color="#9a9a9a"), *marks], length=2.0)
