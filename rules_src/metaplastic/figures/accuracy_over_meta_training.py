"""Snapshots of meta-training runs applied to datasets that the runs need not watch (Metz et al. 2019, Figure 3)."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metaplastic.figures import style
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf
from metaplastic.results.selections import INITIAL

INPUTS = {"summary": "summary"}
NEEDS = ("few-shot methods", "snapshots")
CAPTION = """\
Snapshots of a meta-training run's rule, each applied to every dataset. The curves show the test accuracy (%) of a
logistic regression over the meta-steps, one curve per dataset, with 95% bands over meta-training seeds, seeds and draws
of labels. A dashed line in the same colour is the accuracy of the randomly initialised network, and a dotted line the
accuracy of guessing. Readout, labels and inner steps are those of the table. What meta-training itself watches is
measured in another way and has a figure of its own.
"""


def draw(summary: list[Path]) -> Figure:
    """Draw accuracy at the most labelled examples over meta-steps: a panel per run and base model, a curve per dataset.

    Args:
        summary: the summary of a study that has snapshots among its rules.

    Raises:
        InputError: the summary has no snapshot.
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
    entries = [style.entry(name, linewidth=2, markersize=4, **looks[name]) for name in datasets]
    entries.append(style.entry("random initialisation", color=style.DARK, linestyle="--"))
    entries.append(style.entry("chance", **style.CHANCE))
    panels[0, -1].legend(handles=entries, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _curve(axes: Axes, of_run: xr.Dataset, drawn: xr.Dataset, dataset: str, look: dict[str, Any]) -> None:
    """Draw the accuracy after each snapshot, and that of the randomly initialised network where it was measured."""
    known = of_run.isel(representation=np.flatnonzero(np.isfinite(of_run["accuracy"].values)))
    style.curve(axes, known["meta_step"].values, *style.ends(known), linewidth=2, markersize=4, label=dataset, **look)
    for level in drawn["accuracy"].values:
        axes.axhline(level, color=look["color"], linestyle="--", linewidth=1.2)
    axes.axhline(float(of_run["chance"]), **style.CHANCE)
