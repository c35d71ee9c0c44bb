"""Accuracy while the update rules train: one curve a rule, one level a baseline."""

from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rules_src.figures import style
from rules_src.storage import read_netcdf

DASH = 3.0
"""Length of the dashes of a baseline, and of the gaps between them, in line widths."""


def draw(inputs: list[Path]) -> Figure:
    """Means and 95% bands over inner steps; one column of panels a dataset, one row a base model.

    Args:
        inputs: the summary.
    """
    summary = read_netcdf(inputs[0]).sel(readout=style.READOUT)
    methods = summary["method"].values.tolist()
    datasets, base_models = summary["dataset"].values.tolist(), summary["base_model"].values.tolist()
    colours = style.colours(methods)
    known_steps = summary["mean_over_inner_steps"].notnull().any(("dataset", "base_model")).sum("inner_step")
    baselines = [method for method in methods if known_steps.sel({"method": method}) == 1]
    steps, shots = summary["inner_step"].values, int(summary["shots"].max())
    figure = Figure(figsize=(1.0 + 4 * len(datasets), 1.2 + 3.6 * len(base_models)), layout="constrained")
    panels = figure.subplots(len(base_models), len(datasets), sharex=True, sharey="col", squeeze=False)
    for (row, base_model), (column, dataset) in product(enumerate(base_models), enumerate(datasets)):
        axes, cell = panels[row, column], summary.sel(dataset=dataset, base_model=base_model)
        for method in methods:
            mean, low, high = (
                cell[f"{end}_over_inner_steps"].sel({"method": method}).values for end in ("mean", "low", "high")
            )
            known = np.isfinite(mean)
            look = {"color": colours[method], "label": style.readable(method), "linewidth": 2}
            if method in baselines:
                # Each baseline's dashes begin elsewhere, so that equal levels both show.
                dashes = (2 * DASH * baselines.index(method) / len(baselines), (DASH, DASH))
                axes.axhline(mean[known][0], linestyle=dashes, **look)
            else:
                axes.plot(steps[known], mean[known], marker="o", markersize=4, **look)
                axes.fill_between(steps[known], low[known], high[known], color=colours[method], alpha=0.12, linewidth=0)
        style.chance_line(axes, float(cell["chance"]))
        axes.set_title(dataset if len(base_models) == 1 else f"{dataset}, base model {base_model}")
        if steps[-1] > 0:
            # Steps grow roughly geometrically after 0, which a logarithm cannot show.
            axes.set_xscale("symlog", linthresh=float(steps[steps > 0][0]))
        axes.set_xticks(steps, [str(step) for step in steps])
        axes.xaxis.set_minor_locator(NullLocator())
    for axes in panels.flat:
        style.percent_axis(axes)
    for axes in panels[-1]:
        axes.set_xlabel("inner steps")
    for axes in panels[:, 0]:
        axes.set_ylabel(f"test accuracy with {shots} labels per class (%)")
    style.legend_above(figure, panels[0, 0], columns=5)
    return figure
