"""Meta-training runs: the meta-loss, and the accuracy on data that the loss is not computed on."""

from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rules_src.figures import style
from rules_src.storage import read_zarr

WINDOW = 20
"""Meta-steps that the smoothed meta-loss averages over."""

NAMES = {"letters": "letters (training)", "held-out letters": "letters (held out)"}
"""Watched tasks of characters and faces that meta-training uses, and of those that it does not."""


def draw(histories: list[Path]) -> Figure:
    """Two panels a run, one row each: meta-loss, raw and smoothed, and accuracy with standard errors.

    Args:
        histories: history stores.
    """
    figure = Figure(figsize=(11.5, 3.8 * len(histories)))
    figure.set_layout_engine("constrained", wspace=0.06)
    panels = figure.subplots(len(histories), 2, squeeze=False)
    for (left, right), path in zip(panels, histories, strict=True):
        history = read_zarr(path)
        steps, loss = history["meta_step"].values, history["meta_loss"].values
        left.plot(steps, loss, color="#b8b8b8", linewidth=0.8, label="every meta-step")
        left.plot(steps, running_mean(loss, WINDOW), color="#303030", linewidth=2, label=f"mean of last {WINDOW}")
        left.set(xlabel="meta-step", ylabel="meta-loss", title=f"meta-training run {history.attrs['run']}")
        left.legend(frameon=False)
        names = history["dataset"].values.tolist()
        for name, colour in zip(names, sns.color_palette("colorblind", len(names)), strict=True):
            at, label = history["evaluation_step"].values, NAMES.get(name, name)
            held_out_curve(right, history.sel(dataset=name), at, color=colour, label=label)
        shots = history.attrs.get("labelled_per_class")
        given = "" if shots is None else f"with {shots} labels per class, "
        right.set(xlabel="meta-step", ylabel="accuracy (%)", title=f"accuracy {given}± standard error")
        style.percent_axis(right)
        right.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def held_out_curve(axes: Axes, history: xr.Dataset, at: np.ndarray, *, color: Any, label: str) -> None:
    """Accuracy and its standard error on one kind of data, at `at`, which has an entry for each evaluation."""
    mean, error = history["held_out_accuracy"].values, history["held_out_sem"].values
    axes.plot(at, mean, marker="o", markersize=4, linewidth=2, color=color, label=label)
    axes.fill_between(at, mean - error, mean + error, color=color, alpha=0.15, linewidth=0)


def running_mean(values: Float[np.ndarray, " step"], window: int) -> Float[np.ndarray, " step"]:
    """Mean of the last `window` values up to each step, of fewer at the start."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    means: np.ndarray = (sums[ends] - sums[starts]) / (ends - starts)
    return means
