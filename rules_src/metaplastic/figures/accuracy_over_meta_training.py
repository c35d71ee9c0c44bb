"""Snapshots of meta-training runs applied to datasets that the runs need not watch (Metz et al. 2019, Figure 3)."""

from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metaplastic.figures import style
from metaplastic.io.errors import InputError
from metaplastic.results.names import labels
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
MOST_TICKS = 6
"""Most snapshots that each have a tick."""


def draw(summary: list[Path]) -> Figure:
    """Draw a panel per run and base model, a curve over snapshots per dataset; raise InputError without snapshots."""
    results = style.of_few_shot(summary[0])
    if "meta_step" not in results.coords:
        raise InputError(f"{summary[0]}: no rule in it is a snapshot of a run; give rules their `meta_step`")
    results = results.sel(shots=results["shots"].max())
    runs = [name for name in dict.fromkeys(results["run"].values.tolist()) if name]
    base_models, datasets = results["base_model"].values.tolist(), results["dataset"].values.tolist()
    looks = style.of_data(datasets)
    size = (2.2 + 4.6 * len(runs), 0.9 + 4 * len(base_models))
    figure, panels = style.grid(len(base_models), len(runs), size, sharex="col", sharey=True)
    for axes, (base_model, run) in zip(panels.flat, product(base_models, runs), strict=True):
        cell = results.sel(base_model=base_model)
        of_run = cell.isel(representation=np.flatnonzero(cell["run"].values == run)).sortby("meta_step")
        initial = cell.isel(representation=np.flatnonzero(cell["kind"].values == INITIAL))
        for dataset, look in looks.items():
            snapshots = of_run.sel(dataset=dataset)
            style.curve(axes, snapshots["meta_step"].values, *style.ends(snapshots), label=dataset, **look)
            for level in initial["accuracy"].sel(dataset=dataset).values:
                axes.axhline(level, color=look["color"], linestyle="--", linewidth=1.2)
            axes.axhline(float(snapshots["chance"]), **style.CHANCE)
        seeds = int(of_run["meta_seeds"].max())
        what = f"run {run}, {seeds} seed{'' if seeds == 1 else 's'}"
        axes.set_title(what if len(base_models) == 1 else f"{what}, base model {base_model}")
        steps = of_run["meta_step"].values.astype(int)
        if len(steps) <= MOST_TICKS:
            style.ticks(axes, steps)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(MOST_TICKS, integer=True))
        style.percent_axis(axes)
    style.label_edges(panels, "meta-step", f"test accuracy with {labels(int(results['shots']))} (%)")
    entries = [style.entry(name, linewidth=2, markersize=4, **look) for name, look in looks.items()]
    if INITIAL in results["kind"]:
        entries.append(style.entry("random initialisation", color=style.DARK, linestyle="--"))
    entries.append(style.entry("chance", **style.CHANCE))
    panels[0, -1].legend(handles=entries, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
