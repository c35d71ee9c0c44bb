"""What all figures share: theme, how methods look, percent axes, files that are equal when the data are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import seaborn as sns
import xarray as xr
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf, write_whole
from metaplastic.results.selections import NONE

_BLUE, _ORANGE, _GREEN, _RED, _PINK, _BROWN, _ROSE, _GREY, _YELLOW, _SKY = sns.color_palette("colorblind", 10).as_hex()


class Look(NamedTuple):
    """How a method is shown."""

    label: str
    colour: str


_LOOKS = {
    "pretrained": Look("pretrained rule", "#7f6fd0"),
    "meta-trained": Look("rule meta-trained here", _RED),
    "compact": Look("compact rule before meta-training", _ORANGE),
    "published": Look("published rule before meta-training", "#b8860b"),
    "polynomial": Look("polynomial rule before meta-training", "#cc6677"),
    "identity": Look("random initialisation", _GREY),
    "oja": Look("Oja's rule", _GREEN),
    "hebb": Look("Hebb's rule", _PINK),
    "raw": Look("raw input", "#303030"),
    "pca": Look("PCA", _BLUE),
    "k-means": Look("k-means features", _SKY),
    "isomap": Look("Isomap", _BROWN),
    "umap": Look("UMAP", _YELLOW),
    "vae": Look("variational autoencoder", _ROSE),
    "denoising-autoencoder": Look("denoising autoencoder", "#6b8e23"),
    "zca": Look("whitened pixels", "#5a5a5a"),
    "acai": Look("ACAI", "#2f6f8f"),
    "bigan": Look("BiGAN", "#b5651d"),
    "infogan": Look("InfoGAN", "#8f5f7f"),
    "contrastive": Look("contrastive", "#3a9a8a"),
}
"""By kind, so that a method looks alike whatever a user calls it."""

_MARKS: Sequence[str] = "osD^vP"
_DASHES: Sequence[Any] = ("-", "--", "-.", ":", (0, (8, 2, 1, 2, 1, 2)), (0, (10, 4)))

_OTHER = "#8f8f3f"
"""Colour of kinds that have no look of their own."""

PALER = 0.35
"""By how much of the way to white each further method of a kind is paler than the one before it."""

CHANCE: dict[str, Any] = {"color": "#555555", "linestyle": ":", "linewidth": 1.5}
"""Look of the accuracy of guessing."""

READOUT = "logistic-regression"
"""Readout that the figures show."""

WIDEST = 3
"""Panels in a row."""

NARROWEST = 0.1
"""Smallest range of an accuracy axis: over less, differences that mean nothing look large."""


@contextmanager
def theme() -> Iterator[None]:
    """The settings that figures are made and saved under."""
    settings = {
        **sns.axes_style("whitegrid"),
        **sns.plotting_context("notebook", font_scale=0.9),
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": "#e4e4e4",
        "svg.hashsalt": "metaplastic",
        "savefig.dpi": 160,
    }
    with mpl.rc_context(settings):
        yield


def save(figure: Figure, path: Path) -> None:
    """Write `figure` in the format of the path's suffix; equal figures give equal bytes.

    Raises:
        InputError: the suffix is neither `.svg` nor `.png`.
    """
    # A date in an SVG and the library's version in a PNG would differ without the figure having changed.
    metadata: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".png": {"Software": None}}
    if path.suffix not in metadata:
        raise InputError(f"--output: {path} ends in neither .svg nor .png")

    def write(temporary: Path) -> None:
        figure.savefig(temporary, format=path.suffix[1:], metadata=metadata[path.suffix], bbox_inches="tight")

    write_whole(path, write)


def looks(kinds: Mapping[str, str]) -> dict[str, Look]:
    """How each method is shown, given its kind: the first of a kind in full colour, with names where there are more."""
    of_kind: dict[str, list[str]] = {}
    for method, kind in kinds.items():
        of_kind.setdefault(kind, []).append(method)
    found = {}
    for method, kind in kinds.items():
        label, colour = _LOOKS.get(kind, Look(method, _OTHER))
        alike = of_kind[kind]
        paler = 1 - (1 - PALER) ** alike.index(method)
        red, green, blue = (part + paler * (1 - part) for part in to_rgb(colour))
        named = label if len(alike) == 1 or kind not in _LOOKS else f"{label}: {method}"
        found[method] = Look(named, to_hex((red, green, blue)))
    return found


def look(method: str, kind: str) -> Look:
    """How a method is shown alone."""
    return looks({method: kind})[method]


def of_data(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How curves of what a run watches are shown: colours and marks that no method has."""
    return _told_apart(names, "viridis", "marker", _MARKS)


def of_runs(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How curves of meta-training runs are shown: colours and dashes that no method has."""
    return _told_apart(names, "rocket", "linestyle", _DASHES)


def of_learners(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How learners are told apart where colours are those of embeddings: by dashes and marks."""
    looks = zip(dict.fromkeys(names), cycle(_DASHES), cycle(_MARKS), strict=False)
    return {name: {"linestyle": dashes, "marker": mark} for name, dashes, mark in looks}


def _told_apart(names: Sequence[str], palette: str, key: str, marks: Sequence[Any]) -> dict[str, dict[str, Any]]:
    distinct = list(dict.fromkeys(names))
    colours = sns.color_palette(palette, len(distinct) + 1)
    return {name: {"color": colours[index], key: marks[index % len(marks)]} for index, name in enumerate(distinct)}


def panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    """A figure of so many panels, `WIDEST` in a row, that have one range across."""
    columns = 2 if count == 4 else min(WIDEST, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(0.5 + 4 * columns, 0.9 + 3.2 * rows), layout="constrained")
    all_panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel().tolist()
    for axes in all_panels[count:]:
        axes.set_visible(False)
    # Each shows its numbers, since the lowest of a column may be one that is left out.
    for axes in all_panels:
        axes.tick_params(labelbottom=True)
    return figure, all_panels[:count]


def percent_axis(axes: Axes, *, vertical: bool = True) -> None:
    """Shares on an axis, at least `NARROWEST` of them, labelled in whole percents, each at most once."""
    axis, limits, limit = (
        (axes.yaxis, axes.get_ylim(), axes.set_ylim) if vertical else (axes.xaxis, axes.get_xlim(), axes.set_xlim)
    )
    low, high = limits
    missing = max(0.0, NARROWEST - (high - low))
    limit(low - missing / 2, high + missing / 2)
    axis.set_major_locator(MaxNLocator(9 if vertical else 6, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))


def chance_line(axes: Axes, chance: float, *, vertical: bool = False) -> None:
    """The accuracy of guessing."""
    line = axes.axvline if vertical else axes.axhline
    line(chance, label="chance", zorder=2.5, **CHANCE)


def legend_above(figure: Figure, axes: Axes, *, columns: int) -> None:
    """One legend for all panels, above them, of what is in one of them."""
    entries_above(figure, axes.get_legend_handles_labels()[0], columns=columns)


def entries_above(figure: Figure, entries: Sequence[Any], *, columns: int, length: float = 2.6) -> None:
    """A legend above all panels: row by row in the order given, the line of chance last; lines are so many letters."""
    ordered = sorted(entries, key=lambda entry: entry.get_label() == "chance")
    # Matplotlib fills a legend column by column.
    handles = [entry for column in range(columns) for entry in ordered[column::columns]]
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False, handlelength=length)


def sheet(
    images: UInt8[np.ndarray, "example height width channel"], rows: Sequence[np.ndarray], *, columns: int
) -> Float[np.ndarray, "tall wide *colour"]:
    """The images of each row's indices, of at most so many columns, a pixel between them; shares of the brightest."""
    height, width, channels = images.shape[1:]
    tiles = np.zeros((len(rows), columns, height + 1, width + 1, channels))
    for tile, shown in zip(tiles, rows, strict=True):
        tile[: len(shown), :-1, :-1] = images[shown] / 255
    whole = tiles.transpose(0, 2, 1, 3, 4).reshape((height + 1) * len(rows), (width + 1) * columns, channels)
    return (whole[..., 0] if channels == 1 else whole)[:-1, :-1]


def methods(summary: xr.Dataset) -> dict[str, Look]:
    """How each representation of a summary is shown, in its order."""
    return looks(dict(zip(summary["representation"].values.tolist(), summary["kind"].values.tolist(), strict=True)))


def embeddings(summary: xr.Dataset) -> dict[str, Look]:
    """How each embedding of a summary of learners is shown, in its order, and what needs none."""
    kinds = dict(zip(summary["embedding"].values.tolist(), summary["embedding_kind"].values.tolist(), strict=True))
    return {**looks(kinds), NONE: Look("no embedding", "#c8c8c8")}


def of_trained(path: Path) -> xr.Dataset:
    """A summary of learners that says what has trained them.

    Raises:
        InputError: it does not.
    """
    results = read_netcdf(path)
    if "learner_key" not in results.coords:
        raise InputError(f"{path}: does not say what has trained its learners; run its study again")
    return results


def running_mean(values: Float[np.ndarray, " step"], window: int) -> Float[np.ndarray, " step"]:
    """Mean of the last `window` values up to each step, of fewer at the start."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    means: np.ndarray = (sums[ends] - sums[starts]) / (ends - starts)
    return means
