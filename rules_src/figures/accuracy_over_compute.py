"""Meta-training runs side by side: accuracy on what all of them watch, against the arithmetic spent."""

from functools import reduce
from pathlib import Path

from matplotlib.figure import Figure

from rules_src.errors import InputError
from rules_src.figures import style
from rules_src.figures.meta_training_curves import NAMES, by_run, held_out_curve, protocol
from rules_src.meta_train.work import teraflop

WIDEST = 3
"""Panels in a row."""


def draw(histories: list[Path]) -> Figure:
    """One panel for each kind of data that every run watches, one curve a run, with standard errors.

    Args:
        histories: history stores.

    Raises:
        InputError: the runs watch nothing in common.
    """
    runs = by_run(histories)
    watched = [history["dataset"].values.tolist() for history in runs.values()]
    shared = reduce(lambda left, right: [name for name in left if name in right], watched)
    if not shared:
        raise InputError(f"{histories[0]}: watches nothing that the other runs watch; nothing to draw side by side")
    columns = min(WIDEST, len(shared))
    rows = -(-len(shared) // columns)
    figure = Figure(figsize=(0.5 + 4 * columns, 0.9 + 3.2 * rows), layout="constrained")
    looks = style.of_runs(list(runs))
    work = {run: teraflop(history, history.attrs["gflop_per_inner_step"]) for run, history in runs.items()}
    unit, factor = ("TFLOP", 1.0) if max(spent[-1] for spent in work.values()) >= 0.1 else ("GFLOP", 1e3)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes, name in zip(panels, shared, strict=False):
        for run, history in runs.items():
            held_out_curve(axes, history.sel(dataset=name), factor * work[run], label=run, **looks[run])
        axes.set(title=NAMES.get(name, name), ylabel="accuracy (%)")
        style.percent_axis(axes)
    for axes in panels[len(shared) :]:
        axes.set_visible(False)
    protocols = dict.fromkeys(map(protocol, runs.values()))
    # Below, since the legend is above.
    figure.supxlabel(f"{unit} of inner steps\naccuracy: {'; '.join(protocols)}", fontsize="medium")
    style.legend_above(figure, panels[0], columns=len(runs))
    return figure
