"""Meta-training runs side by side: accuracy on what all of them watch, against the arithmetic spent."""

from functools import reduce
from pathlib import Path

import seaborn as sns
from matplotlib.figure import Figure

from rules_src.errors import InputError
from rules_src.figures import style
from rules_src.figures.meta_training_curves import NAMES, held_out_curve, run_name
from rules_src.meta_train.work import teraflop
from rules_src.storage import read_zarr

WIDEST = 3
"""Panels in a row."""


def draw(inputs: list[Path]) -> Figure:
    """One panel for each kind of data that every run watches, one curve a run, with standard errors.

    Args:
        inputs: history stores, each in its run's folder.

    Raises:
        InputError: the runs watch nothing in common.
    """
    histories = {run_name(path): read_zarr(path) for path in inputs}
    watched = [history["dataset"].values.tolist() for history in histories.values()]
    shared = reduce(lambda left, right: [name for name in left if name in right], watched)
    if not shared:
        raise InputError(f"{inputs[0]}: watches nothing that the other runs watch; nothing to draw side by side")
    columns = min(WIDEST, len(shared))
    rows = -(-len(shared) // columns)
    figure = Figure(figsize=(0.5 + 4 * columns, 0.9 + 3.2 * rows), layout="constrained")
    colours = sns.color_palette("colorblind", len(histories))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes, name in zip(panels, shared, strict=False):
        for (run, history), colour in zip(histories.items(), colours, strict=True):
            work = teraflop(history, history.attrs["gflop_per_inner_step"])
            held_out_curve(axes, history.sel(dataset=name), work, color=colour, label=run)
        axes.set(title=NAMES.get(name, name), ylabel="accuracy (%)")
        style.percent_axis(axes)
    for axes in panels[len(shared) :]:
        axes.set_visible(False)
    figure.supxlabel("TFLOP of inner steps", fontsize="medium")
    style.legend_above(figure, panels[0], columns=len(histories))
    return figure
