"""The theme, looks of methods, axes and legends of all figures, and files that are equal when the data are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from metaplastic.features import read_features
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf, read_zarr, write_whole
from metaplastic.results.intervals import crossed_interval
from metaplastic.results.names import names
from metaplastic.results.selections import NONE, TABLE_READOUT

_BLUE, _ORANGE, _GREEN, _RED, _PINK, _BROWN, _ROSE, _GREY, _YELLOW, _SKY = sns.color_palette("colorblind", 10).as_hex()


class Look(NamedTuple):
    """Label and colour of a method."""

    label: str
    colour: str


_COLOURS = {
    "pretrained": "#7f6fd0",
    "meta-trained": _RED,
    "compact": _ORANGE,
    "published": "#b8860b",
    "polynomial": "#cc6677",
    "identity": _GREY,
    "oja": _GREEN,
    "hebb": _PINK,
    "sanger": "#2e8b57",
    "bcm": "#9acd32",
    "competing": "#c71585",
    "soft-hebb": "#ba55d3",
    "raw": "#303030",
    "pca": _BLUE,
    "k-means": _SKY,
    "isomap": _BROWN,
    "umap": _YELLOW,
    "vae": _ROSE,
    "denoising-autoencoder": "#6b8e23",
    "blurred": "#4a4a4a",
    "untrained-encoder": "#8a9ba8",
    "zca": "#5a5a5a",
    "acai": "#2f6f8f",
    "bigan": "#b5651d",
    "infogan": "#8f5f7f",
    "deep-cluster": "#a0527f",
    "contrastive": "#3a9a8a",
}
"""Colours by kind, so that a method looks the same whatever a user calls it."""
_MARKS: Sequence[str] = "osD^vP"
_DASHES: Sequence[Any] = ("-", "--", "-.", ":", (0, (8, 2, 1, 2, 1, 2)), (0, (10, 4)))
_OTHER = "#8f8f3f"
"""Colour of kinds that have no look of their own."""
PALER = 0.35
"""Each further method of a kind goes this share of the way to white."""
DARK = "#303030"
CHANCE: dict[str, Any] = {"color": "#555555", "linestyle": ":", "linewidth": 1.5}
"""Look of the accuracy of guessing."""
INTERVAL: dict[str, Any] = {"ecolor": "#202020", "elinewidth": 1.0}
"""Look of intervals on bars and marks."""
WIDEST = 3
"""Most panels in a row."""
NARROWEST = 0.1
"""Smallest range of an accuracy axis. A smaller one would make differences that mean nothing look large."""


def theme() -> AbstractContextManager[None]:
    """Return a context that holds the settings under which figures are drawn and saved."""
    return mpl.rc_context(
        {
            **sns.axes_style("whitegrid"),
            **sns.plotting_context("notebook", font_scale=0.9),
            "font.sans-serif": ["DejaVu Sans"],
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.color": "#e4e4e4",
            "svg.hashsalt": "metaplastic",
            "savefig.dpi": 160,
        }
    )


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as `.svg` or `.png`, by the path's suffix, or raise InputError; equal figures give equal bytes."""
    # A date in an SVG and the library's version in a PNG would differ without the figure having changed.
    metadata: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".png": {"Software": None}}
    if path.suffix not in metadata:
        raise InputError(f"--output: {path} ends in neither .svg nor .png")
    how: dict[str, Any] = {"format": path.suffix[1:], "metadata": metadata[path.suffix], "bbox_inches": "tight"}
    write_whole(path, lambda temporary: figure.savefig(temporary, **how))


def looks(kinds: Mapping[str, str]) -> dict[str, Look]:
    """Return the look of each method from its kind. Further methods of a kind are paler, and labels then name them."""
    found, named, seen = {}, names(kinds), Counter[str]()
    for method, kind in kinds.items():
        paler = 1 - (1 - PALER) ** seen[kind]
        red, green, blue = (part + paler * (1 - part) for part in to_rgb(_COLOURS.get(kind, _OTHER)))
        found[method] = Look(named[method], to_hex((red, green, blue)))
        seen[kind] += 1
    return found


def look(method: str, kind: str) -> Look:
    """Return the look of a method that is shown alone."""
    return looks({method: kind})[method]


def _told_apart(names: Sequence[str], palette: str = "", **marks: Sequence[Any]) -> dict[str, dict[str, Any]]:
    distinct = list(dict.fromkeys(names))
    looks = {"color": sns.color_palette(palette, len(distinct) + 1), **marks} if palette else marks
    return {name: {key: each[place % len(each)] for key, each in looks.items()} for place, name in enumerate(distinct)}


of_data = partial(_told_apart, palette="viridis", marker=_MARKS)
"""Return looks for datasets: colours and marks that no method has."""
of_runs = partial(_told_apart, palette="rocket", linestyle=_DASHES)
"""Return looks for meta-training runs: colours and dashes that no method has."""
of_learners = partial(_told_apart, linestyle=_DASHES, marker=_MARKS)
"""Return looks for learners: dashes and marks, where colours are those of embeddings."""


def grid(rows: int, columns: int, size: tuple[float | int, float | int], **shared: Any) -> tuple[Figure, np.ndarray]:
    """Make a figure of `size`, in inches, and its panels by row and column."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    """Make a figure of `count` panels that share their horizontal range."""
    columns = 2 if count == 4 else min(WIDEST, count)
    rows = -(-count // columns)
    figure, grid_of_panels = grid(rows, columns, (0.5 + 4 * columns, 0.9 + 3.2 * rows), sharex=True)
    for number, axes in enumerate(grid_of_panels.flat):
        axes.set_visible(number < count)
        # Each panel shows its numbers, since the lowest one of a column may be hidden.
        axes.tick_params(labelbottom=True)
    return figure, grid_of_panels.ravel().tolist()[:count]


def label_edges(panels: np.ndarray, across: str, up: str = "") -> None:
    """Label the lowest panels of a grid with what lies across and the leftmost ones with what runs up."""
    for axes in panels[-1]:
        axes.set_xlabel(across)
    for axes in panels[:, 0] if up else ():
        axes.set_ylabel(up)


def percent_axis(axes: Axes) -> None:
    """Label shares on the vertical axis in whole percents, over a range of at least `NARROWEST`."""
    low, high = axes.get_ylim()
    missing = max(0.0, NARROWEST - (high - low))
    axes.set_ylim(low - missing / 2, high + missing / 2)
    in_percent(axes.yaxis, 9)


def accuracy_across(axes: Axes, chance: float, highest: float = 1.0) -> None:
    """Label accuracies on the horizontal axis in whole percents, from 0 to `highest`, and draw that of guessing."""
    axes.axvline(chance, label="chance", zorder=2.5, **CHANCE)
    axes.set_xlim(0, highest)
    in_percent(axes.xaxis, 6)


def in_percent(axis: Axis, most: int) -> None:
    """Label an axis of accuracies in percent, at no more than `most` round numbers."""
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))


def highest(results: xr.Dataset, *names: str) -> float:
    """Return the end of an axis from 0 that shows the intervals of all these accuracies."""
    return min(1.0, 1.05 * max(float(results[f"{name}_high"].max()) for name in names))


def chance_line(axes: Axes, chance: float) -> None:
    """Draw the accuracy of guessing."""
    axes.axhline(chance, label="chance", zorder=2.5, **CHANCE)


def ticks(axes: Axes, numbers: Any, **labels: Any) -> None:
    """Mark these numbers, and no others, on the horizontal axis."""
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers], **labels)
    axes.xaxis.set_minor_locator(NullLocator())


def steps_axis(axes: Axes, steps: np.ndarray, **labels: Any) -> None:
    """Mark inner steps, on a logarithmic axis that is linear up to the first step after 0."""
    if steps[-1] > 0:
        # Steps grow roughly geometrically after 0, which a logarithm cannot show.
        axes.set_xscale("symlog", linthresh=float(steps[steps > 0][0]))
    ticks(axes, steps, **labels)


def ends(results: xr.Dataset, name: str = "accuracy") -> tuple[np.ndarray, ...]:
    """Return the mean and both ends of the interval of a result."""
    return tuple(results[f"{name}{end}"].values for end in ("", "_low", "_high"))


def curve(axes: Axes, across: Any, mean: Any, low: Any, high: Any, *, alpha: float = 0.15, **look: Any) -> None:
    """Draw a curve of the means that are known, with the band of their intervals."""
    known = np.isfinite(mean)
    axes.plot(across[known], mean[known], **{"linewidth": 2, "markersize": 4} | look)
    axes.fill_between(across[known], low[known], high[known], color=look["color"], alpha=alpha, linewidth=0)


def curve_of_seeds(axes: Axes, values: Float[np.ndarray, "step seed"], highest: float = np.inf, **look: Any) -> None:
    """Draw the mean over seeds from step 1 on and, where there are several, its 95% band, which ends at `highest`."""
    steps = np.arange(len(values)) + 1
    axes.plot(steps, values.mean(1), linewidth=2, **look)
    if values.shape[1] > 1:
        _, low, high = crossed_interval(values, levels=1)
        axes.fill_between(steps, low, np.minimum(high, highest), color=look["color"], alpha=0.15, linewidth=0)


def entry(label: str, **look: Any) -> Line2D:
    """Make an entry of a legend."""
    return Line2D([], [], label=label, **look)


def legend_above(figure: Figure, of: Axes | Sequence[Any], *, columns: int = 0, length: float | int = 2.6) -> None:
    """Put a legend above all panels, row by row, chance last: of a panel, or of entries, to which chance is added."""
    entries = of.get_legend_handles_labels()[0] if isinstance(of, Axes) else [*of, entry("chance", **CHANCE)]
    entries.sort(key=lambda entry: entry.get_label() == "chance")
    columns = min(columns or len(entries), len(entries))
    # Matplotlib fills a legend column by column.
    handles = [entry for column in range(columns) for entry in entries[column::columns]]
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False, handlelength=length)


def sheet(
    images: UInt8[np.ndarray, "example height width channel"], rows: Sequence[np.ndarray], *, columns: int
) -> Float[np.ndarray, "tall wide *colour"]:
    """Lay out images by their indices in rows, with a pixel between them, as shares of the greatest brightness."""
    whole = tiled([images[shown] / 255 for shown in rows], columns)
    return whole[..., 0] if whole.shape[-1] == 1 else whole


def tiled(rows: Sequence[np.ndarray], columns: int, gap: float = 0.0) -> Float[np.ndarray, "tall wide *colour"]:
    """Lay out rows of images with a pixel of `gap` between them; a row may hold fewer than `columns`."""
    pads = [((0, columns - len(row)), (0, 1), (0, 1), *((0, 0),) * (row.ndim - 3)) for row in rows]
    padded = [np.pad(row, around, constant_values=gap) for row, around in zip(rows, pads, strict=True)]
    return np.concatenate([np.concatenate(row, 1) for row in padded])[:-1, :-1]


def methods(summary: xr.Dataset) -> dict[str, Look]:
    """Return the look of each representation of a summary, in its order."""
    return looks(summary["kind"].to_series().to_dict())


def embeddings(summary: xr.Dataset) -> dict[str, Look]:
    """Return the look of each embedding of a summary of learners, in its order, and of learners that take none."""
    return {**looks(summary["embedding_kind"].to_series().to_dict()), NONE: Look("no embedding", "#c8c8c8")}


def of_few_shot(path: Path) -> xr.Dataset:
    """Read a summary of few-shot methods, for the readout that figures show."""
    return read_netcdf(path).sel(readout=TABLE_READOUT)


def features_with(path: Path, variable: str, give: str) -> xr.Dataset:
    """Read a features store that holds a variable, or raise an InputError that says what features to `give` instead."""
    store = read_features(path)
    if variable not in store:
        raise InputError(f"{path}: holds no {variable}; give the features of {give}")
    return store


def given(datasets: Sequence[Path], of: Mapping[Path, str]) -> dict[str, xr.Dataset]:
    """Read datasets by their names; raise InputError if one that `of` names for a path is not among them."""
    found = {str(store.attrs["name"]): store for store in map(read_zarr, datasets)}
    for path, name in of.items():
        if name not in found:
            raise InputError(f"{path}: of dataset {name!r}, which is not among those given")
    return found


def running_mean(values: Float[np.ndarray, " step"], window: int) -> Float[np.ndarray, " step"]:
    """Return the mean of the last `window` values up to each step, or of fewer at the start."""
    return pd.Series(values).rolling(window, min_periods=1).mean().to_numpy()
