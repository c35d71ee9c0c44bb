"""Meta-training runs side by side: accuracy on what all of them watch, against the arithmetic spent."""

from functools import reduce
from pathlib import Path

import seaborn as sns
from matplotlib.figure import Figure

from rules_src.errors import InputError
from rules_src.figures import style
from rules_src.figures.meta_training_curves import NAMES, held_out_curve
from rules_src.meta_train.work import teraflop
from rules_src.storage import read_zarr

WIDEST = 3
"""Panels in a row."""


def draw(histories: list[Path]) -> Figure:
    """One panel for each kind of data that every run watches, one curve a run, with standard errors.

    Args:
        histories: history stores.

    Raises:
        InputError: the runs watch nothing in common.
    """
    runs = {history.attrs["run"]: history for history in map(read_zarr, histories)}
    watched = [history["dataset"].values.tolist() for history in runs.values()]
    shared = reduce(lambda left, right: [name for name in left if name in right], watched)
    if not shared:
        raise InputError(f"{histories[0]}: watches nothing that the other runs watch; nothing to draw side by side")
    columns = min(WIDEST, len(shared))
    rows = -(-len(shared) // columns)
    figure = Figure(figsize=(0.5 + 4 * columns, 0.9 + 3.2 * rows), layout="constrained")
    colours = sns.color_palette("colorblind", len(runs))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes, name in zip(panels, shared, strict=False):
        for (run, history), colour in zip(runs.items(), colours, strict=True):
            work = teraflop(history, history.attrs["gflop_per_inner_step"])
            held_out_curve(axes, history.sel(dataset=name), work, color=colour, label=run)
        axes.set(title=NAMES.get(name, name), ylabel="accuracy (%)")
        style.percent_axis(axes)
    for axes in panels[len(shared) :]:
        axes.set_visible(False)
    figure.supxlabel("TFLOP of inner steps", fontsize="medium")
    style.legend_above(figure, panels[0], columns=len(runs))
    return figure
