"""Few-shot accuracy of every method, by dataset and number of labelled examples."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metaplastic.figures import style
from metaplastic.io.storage import read_netcdf

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
    """Draw bars at the most labelled examples and marks at fewer, with 95% intervals; one column of panels per dataset.

    Args:
        summary: the summary of a study; base models are rows of panels.
    """
    results = read_netcdf(summary[0]).sel(readout=style.READOUT)
    looks = style.methods(results)
    datasets, base_models = results["dataset"].values.tolist(), results["base_model"].values.tolist()
    size = (2.4 + 3.4 * len(datasets), 1.2 + (0.4 + 0.34 * len(looks)) * len(base_models))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(base_models), len(datasets), sharey=True, sharex=True, squeeze=False)
    for (row, base_model), (column, dataset) in product(enumerate(base_models), enumerate(datasets)):
        axes = panels[row, column]
        bars(axes, results.sel(dataset=dataset, base_model=base_model), looks)
        axes.set_title(dataset if len(base_models) == 1 else f"{dataset}, base model {base_model}")
        axes.set_xlim(0, min(1.0, 1.05 * float(results["accuracy_high"].max())))
    for axes in panels[-1]:
        axes.set_xlabel("test accuracy (%)")
    legend(figure, results["shots"].values.tolist())
    return figure


def bars(axes: Axes, cell: xr.Dataset, looks: dict[str, style.Look]) -> None:
    """Draw every method's accuracies on one dataset with one base model, from the first method down."""
    fewer = cell["shots"].values[:-1]
    for place, (method, look) in enumerate(looks.items()):
        of_method = cell.sel(representation=method)
        mean, low, high = style.ends(of_method)
        errors = np.stack([mean - low, high - mean])
        bar: dict[str, Any] = {"xerr": errors[:, -1:], "ecolor": "#202020", "error_kw": {"elinewidth": 1.0}}
        axes.barh(place, mean[-1], 0.72, color=look.colour, alpha=0.75, zorder=2, **bar)
        for index in range(len(fewer)):
            mark: dict[str, Any] = {"marker": MARKS[index % len(MARKS)], **MARK}
            axes.errorbar(mean[index], place, xerr=errors[:, index : index + 1], elinewidth=1.0, zorder=3, **mark)
    style.chance_line(axes, float(cell["chance"]), vertical=True)
    method_rows(axes, looks)
    style.percent_axis(axes, vertical=False)


def method_rows(axes: Axes, looks: dict[str, style.Look]) -> None:
    """Give each method a row of a panel, the first on top."""
    axes.grid(visible=False, axis="y")
    axes.set_yticks(range(len(looks)), [look.label for look in looks.values()])
    axes.set_ylim(len(looks) - 0.4, -0.6)


def legend(figure: Figure, shots: list[int]) -> None:
    """Say above the panels what bars, marks and the dotted line are."""
    *fewer, most = [f"{number} label{'' if number == 1 else 's'} per class" for number in shots]
    marks = [style.entry(label, marker=mark, linewidth=1.0, **MARK) for label, mark in zip(fewer, MARKS, strict=False)]
    entries = [style.entry(most, linewidth=8, color="#9a9a9a"), *marks, style.entry("chance", **style.CHANCE)]
    figure.legend(handles=entries, loc="outside upper center", ncols=len(entries), frameon=False, handlelength=2.0)
