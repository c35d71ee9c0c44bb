"""Few-shot accuracy of every method, by dataset and number of labelled examples."""

from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rules_src.figures import style
from rules_src.storage import read_netcdf


def draw(summary: list[Path]) -> Figure:
    """Bars with 95% intervals; one row of panels a dataset, one column a base model.

    Args:
        summary: the summary of a study.
    """
    results = read_netcdf(summary[0]).sel(readout=style.READOUT)
    methods = style.methods(results)
    datasets, base_models = results["dataset"].values.tolist(), results["base_model"].values.tolist()
    figure = Figure(figsize=(9 * len(base_models), 0.8 + 2.5 * len(datasets)), layout="constrained")
    panels = figure.subplots(len(datasets), len(base_models), sharex=True, sharey="row", squeeze=False)
    centres, width = np.arange(results.sizes["shots"]), 0.84 / len(methods)
    for (row, dataset), (column, base_model) in product(enumerate(datasets), enumerate(base_models)):
        axes, cell = panels[row, column], results.sel(dataset=dataset, base_model=base_model)
        for index, (method, look) in enumerate(methods.items()):
            of_method = cell.sel(representation=method)
            mean = of_method["accuracy"].values
            axes.bar(
                centres + (index - (len(methods) - 1) / 2) * width,
                mean,
                width * 0.92,
                yerr=np.stack([mean - of_method["accuracy_low"].values, of_method["accuracy_high"].values - mean]),
                color=look.colour,
                ecolor="#202020",
                error_kw={"elinewidth": 1.0},
                label=look.label,
                zorder=2,
            )
        style.chance_line(axes, float(cell["chance"]))
        axes.grid(visible=False, axis="x")
        axes.set_title(dataset if len(base_models) == 1 else f"{dataset}, base model {base_model}")
        axes.set_xticks(centres, [str(shots) for shots in results["shots"].values])
        style.percent_axis(axes)
        axes.set_ylim(0, min(1.0, 1.05 * float(results["accuracy_high"].sel(dataset=dataset).max())))
    for axes in panels[:, 0]:
        axes.set_ylabel("test accuracy (%)")
    for axes in panels[-1]:
        axes.set_xlabel("labelled examples per class")
    style.legend_above(figure, panels[0, 0], columns=5)
    return figure
