"""Few-shot accuracy of every method, by dataset and number of labelled examples."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rules_src.figures import style
from rules_src.storage import read_netcdf

MARKS = "osD^v"
"""Of fewer labelled examples than the most, from few to many."""

MARK: dict[str, Any] = {"markersize": 4.5, "color": "#202020", "markerfacecolor": "white"}


def draw(summary: list[Path]) -> Figure:
    """Bars at the most labelled examples, marks at fewer, 95% intervals on all; one column of panels a dataset.

    Args:
        summary: the summary of a study; base models are rows of panels.
    """
    results = read_netcdf(summary[0]).sel(readout=style.READOUT)
    looks = list(style.methods(results).items())
    datasets, base_models = results["dataset"].values.tolist(), results["base_model"].values.tolist()
    *fewer, most = results["shots"].values.tolist()
    size = (2.4 + 3.4 * len(datasets), 1.2 + (0.4 + 0.34 * len(looks)) * len(base_models))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(base_models), len(datasets), sharey=True, sharex=True, squeeze=False)
    for (row, base_model), (column, dataset) in product(enumerate(base_models), enumerate(datasets)):
        axes, cell = panels[row, column], results.sel(dataset=dataset, base_model=base_model)
        for place, (method, look) in enumerate(looks):
            of_method = cell.sel(representation=method)
            mean, low, high = (of_method[f"accuracy{end}"].values for end in ("", "_low", "_high"))
            errors = np.stack([mean - low, high - mean])
            bar = {"xerr": errors[:, -1:], "ecolor": "#202020", "error_kw": {"elinewidth": 1.0}}
            axes.barh(place, mean[-1], 0.72, color=look.colour, alpha=0.75, zorder=2, **bar)
            for index in range(len(fewer)):
                axes.errorbar(
                    mean[index],
                    place,
                    xerr=errors[:, index : index + 1],
                    marker=MARKS[index % len(MARKS)],
                    elinewidth=1.0,
                    zorder=3,
                    **MARK,
                )
        style.chance_line(axes, float(cell["chance"]), vertical=True)
        axes.grid(visible=False, axis="y")
        axes.set_title(dataset if len(base_models) == 1 else f"{dataset}, base model {base_model}")
        axes.set_yticks(range(len(looks)), [look.label for _, look in looks])
        axes.set_ylim(len(looks) - 0.4, -0.6)
        style.percent_axis(axes, vertical=False)
        axes.set_xlim(0, min(1.0, 1.05 * float(results["accuracy_high"].max())))
    for axes in panels[-1]:
        axes.set_xlabel("test accuracy (%)")
    entries = [Line2D([], [], linewidth=8, color="#9a9a9a", label=_per_class(most))]
    for shots, mark in zip(fewer, MARKS, strict=False):
        entries.append(Line2D([], [], label=_per_class(shots), marker=mark, linewidth=1.0, **MARK))
    entries.append(Line2D([], [], label="chance", **style.CHANCE))
    figure.legend(handles=entries, loc="outside upper center", ncols=len(entries), frameon=False, handlelength=2.0)
    return figure


def _per_class(shots: int) -> str:
    return f"{shots} label{'' if shots == 1 else 's'} per class"
