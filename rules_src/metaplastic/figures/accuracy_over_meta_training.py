"""Snapshots of meta-training runs applied to datasets that the runs need not watch (Metz et al. 2019, Figure 3)."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from metaplastic.figures import style
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf
from metaplastic.results.selections import INITIAL


def draw(summary: list[Path]) -> Figure:
    """Accuracy with the most labelled examples over meta-steps: a panel a run and base model, a curve a dataset.

    Args:
        summary: the summary of a study that has snapshots among its rules.

    Raises:
        InputError: it has none.
    """
    results = read_netcdf(summary[0]).sel(readout=style.READOUT)
    if "meta_step" not in results.coords:
        raise InputError(f"{summary[0]}: no rule in it is a snapshot of a run; give rules their `meta_step`")
    results = results.sel(shots=results["shots"].max())
    runs = dict.fromkeys(name for name in results["run"].values.tolist() if name)
    base_models, datasets = results["base_model"].values.tolist(), results["dataset"].values.tolist()
    looks = style.of_data(datasets)
    figure = Figure(figsize=(2.2 + 4.6 * len(runs), 0.9 + 4 * len(base_models)), layout="constrained")
    panels = figure.subplots(len(base_models), len(runs), squeeze=False, sharex="col", sharey=True)
    for row, base_model in zip(panels, base_models, strict=True):
        for axes, run in zip(row, runs, strict=True):
            cell = results.sel(base_model=base_model)
            of_run = cell.isel(representation=np.flatnonzero(cell["run"].values == run)).sortby("meta_step")
            drawn = cell.isel(representation=np.flatnonzero(cell["kind"].values == INITIAL))
            for dataset in datasets:
                _curve(axes, of_run.sel(dataset=dataset), drawn.sel(dataset=dataset), dataset, looks[dataset])
            seeds = int(of_run["meta_seeds"].max())
            what = f"run {run}, {seeds} seed{'' if seeds == 1 else 's'}"
            axes.set_title(what if len(base_models) == 1 else f"{what}, base model {base_model}")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            style.percent_axis(axes)
    for axes in panels[-1]:
        axes.set_xlabel("meta-step")
    for axes in panels[:, 0]:
        axes.set_ylabel(f"test accuracy with {int(results['shots'])} labels per class (%)")
    entries = [Line2D([], [], label=name, linewidth=2, markersize=4, **looks[name]) for name in datasets]
    entries.append(Line2D([], [], color="#303030", linestyle="--", label="random initialisation"))
    entries.append(Line2D([], [], label="chance", **style.CHANCE))
    panels[0, -1].legend(handles=entries, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _curve(axes: Axes, of_run: xr.Dataset, drawn: xr.Dataset, dataset: str, look: dict[str, Any]) -> None:
    """One dataset's accuracy after each snapshot, and that of the network as it was drawn, where it was measured."""
    steps = of_run["meta_step"].values
    mean, low, high = (of_run[f"accuracy{end}"].values for end in ("", "_low", "_high"))
    known = np.isfinite(mean)
    axes.plot(steps[known], mean[known], linewidth=2, markersize=4, label=dataset, **look)
    axes.fill_between(steps[known], low[known], high[known], color=look["color"], alpha=0.15, linewidth=0)
    for level in drawn["accuracy"].values:
        axes.axhline(level, color=look["color"], linestyle="--", linewidth=1.2)
    axes.axhline(float(of_run["chance"]), **style.CHANCE)
