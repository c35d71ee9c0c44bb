"""Meta-training runs side by side: accuracy on what all of them watch, against the arithmetic spent."""

from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.figure import Figure

from metaplastic.figures import style
from metaplastic.figures.meta_training_curves import accuracies, below, by_run
from metaplastic.io.errors import InputError

INPUTS = {"histories": "meta-training histories"}
NEEDS = ("several runs",)
CAPTION = """\
Each curve is one meta-training run, and each panel one kind of data that all runs watch. The vertical axis is the
accuracy (%) of a ridge readout on the features that the run's rule learns, as the mean and its standard error over
seeds, or over tasks where there is only one seed. The horizontal axis is the arithmetic of all inner steps so far, in
10^9 (GFLOP) or 10^12 (TFLOP) floating-point operations, from XLA's count of their forward passes.
"""


def draw(histories: list[Path]) -> Figure:
    """Draw a panel per kind of data that every run watches, a curve per run; raise InputError if there is none."""
    runs = by_run(histories)
    first, *others = [history["dataset"].values.tolist() for history in runs.values()]
    shared = [name for name in first if all(name in watched for watched in others)]
    if not shared:
        raise InputError(f"{histories[0]}: watches nothing that the other runs watch; nothing to draw side by side")
    figure, panels = style.panels(len(shared))
    work = {run: teraflop(history, history.attrs["gflop_per_inner_step"]) for run, history in runs.items()}
    unit, factor = ("TFLOP", 1.0) if max(spent[-1] for spent in work.values()) >= 0.1 else ("GFLOP", 1e3)
    for axes, name in zip(panels, shared, strict=True):
        accuracies(axes, name, {run: (history, factor * work[run]) for run, history in runs.items()})
    below(figure, f"{unit} of inner steps", runs)
    style.legend_above(figure, panels[0], columns=len(runs))
    return figure


def teraflop(history: xr.Dataset, gflop_per_inner_step: float) -> Float[np.ndarray, " evaluation"]:
    """Return the arithmetic of the inner steps before each evaluation, forward passes alone, in 1e12 operations."""
    # Seeds of a run may draw different truncations; their mean is the cost of one seed.
    truncation = history["truncation"].mean([dim for dim in history["truncation"].dims if dim != "meta_step"])
    inner_steps = np.concatenate([[0.0], np.cumsum(truncation.values)])
    return inner_steps[history["evaluation_step"].values] * gflop_per_inner_step / 1e3
