"""Few-shot accuracy of every method, by dataset and number of labelled examples."""

from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rules_src.figures import style
from rules_src.storage import read_netcdf


def draw(inputs: list[Path]) -> Figure:
    """Bars with 95% intervals; one row of panels a dataset, one column a base model.

    Args:
        inputs: the summary.
    """
    summary = read_netcdf(inputs[0]).sel(readout=style.READOUT)
    methods = summary["method"].values.tolist()
    datasets, base_models = summary["dataset"].values.tolist(), summary["base_model"].values.tolist()
    colours = style.colours(methods)
    figure = Figure(figsize=(9 * len(base_models), 0.8 + 2.5 * len(datasets)), layout="constrained")
    panels = figure.subplots(len(datasets), len(base_models), sharex=True, sharey="row", squeeze=False)
    centres, width = np.arange(summary.sizes["shots"]), 0.84 / len(methods)
    for (row, dataset), (column, base_model) in product(enumerate(datasets), enumerate(base_models)):
        axes, cell = panels[row, column], summary.sel(dataset=dataset, base_model=base_model)
        for index, method in enumerate(methods):
            of_method = cell.sel({"method": method})
            mean = of_method["mean"].values
            axes.bar(
                centres + (index - (len(methods) - 1) / 2) * width,
                mean,
                width * 0.92,
                yerr=np.stack([mean - of_method["low"].values, of_method["high"].values - mean]),
                color=colours[method],
                ecolor="#202020",
                error_kw={"elinewidth": 1.0},
                label=style.readable(method),
                zorder=2,
            )
        style.chance_line(axes, float(cell["chance"]))
        axes.grid(visible=False, axis="x")
        axes.set_title(dataset if len(base_models) == 1 else f"{dataset}, base model {base_model}")
        axes.set_xticks(centres, [str(shots) for shots in summary["shots"].values])
        style.percent_axis(axes)
        axes.set_ylim(0, min(1.0, 1.05 * float(summary["high"].sel(dataset=dataset).max())))
    for axes in panels[:, 0]:
        axes.set_ylabel("test accuracy (%)")
    for axes in panels[-1]:
        axes.set_xlabel("labelled examples per class")
    style.legend_above(figure, panels[0, 0], columns=5)
    return figure
