"""The theme, looks of methods, axes and legends of all figures, and files that are equal when the data are."""

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
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from metaplastic.features import read_features
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf, read_zarr, write_whole
from metaplastic.results.selections import NONE

_BLUE, _ORANGE, _GREEN, _RED, _PINK, _BROWN, _ROSE, _GREY, _YELLOW, _SKY = sns.color_palette("colorblind", 10).as_hex()


class Look(NamedTuple):
    """Label and colour of a method."""

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
"""Looks by kind, so that a method looks the same whatever a user calls it."""
_MARKS: Sequence[str] = "osD^vP"
_DASHES: Sequence[Any] = ("-", "--", "-.", ":", (0, (8, 2, 1, 2, 1, 2)), (0, (10, 4)))
_OTHER = "#8f8f3f"
"""Colour of kinds that have no look of their own."""
PALER = 0.35
"""Each further method of a kind goes this share of the way to white."""
DARK = "#303030"
CHANCE: dict[str, Any] = {"color": "#555555", "linestyle": ":", "linewidth": 1.5}
"""Look of the accuracy of guessing."""
READOUT = "logistic-regression"
"""The readout that figures show."""
WIDEST = 3
"""Most panels in a row."""
NARROWEST = 0.1
"""Smallest range of an accuracy axis. A smaller one would make differences that mean nothing look large."""


@contextmanager
def theme() -> Iterator[None]:
    """Apply the settings under which figures are drawn and saved."""
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
    """Return the look of each method from its kind. Further methods of a kind are paler, and labels then name them."""
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
    """Return the look of a method that is shown alone."""
    return looks({method: kind})[method]


def of_data(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return looks for datasets: colours and marks that no method has."""
    return _told_apart(names, "viridis", "marker", _MARKS)


def of_runs(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return looks for meta-training runs: colours and dashes that no method has."""
    return _told_apart(names, "rocket", "linestyle", _DASHES)


def of_learners(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return looks for learners: dashes and marks, where colours are those of embeddings."""
    looks = zip(dict.fromkeys(names), cycle(_DASHES), cycle(_MARKS), strict=False)
    return {name: {"linestyle": dashes, "marker": mark} for name, dashes, mark in looks}


def _told_apart(names: Sequence[str], palette: str, key: str, marks: Sequence[Any]) -> dict[str, dict[str, Any]]:
    distinct = list(dict.fromkeys(names))
    colours = sns.color_palette(palette, len(distinct) + 1)
    return {name: {"color": colours[index], key: marks[index % len(marks)]} for index, name in enumerate(distinct)}


def panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    """Make a figure of `count` panels that share their horizontal range."""
    columns = 2 if count == 4 else min(WIDEST, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(0.5 + 4 * columns, 0.9 + 3.2 * rows), layout="constrained")
    all_panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel().tolist()
    for axes in all_panels[count:]:
        axes.set_visible(False)
    # Each panel shows its numbers, since the lowest one of a column may be hidden.
    for axes in all_panels:
        axes.tick_params(labelbottom=True)
    return figure, all_panels[:count]


def percent_axis(axes: Axes, *, vertical: bool = True) -> None:
    """Label shares on an axis in whole percents, over a range of at least `NARROWEST`."""
    axis, limits, limit = (
        (axes.yaxis, axes.get_ylim(), axes.set_ylim) if vertical else (axes.xaxis, axes.get_xlim(), axes.set_xlim)
    )
    low, high = limits
    missing = max(0.0, NARROWEST - (high - low))
    limit(low - missing / 2, high + missing / 2)
    axis.set_major_locator(MaxNLocator(9 if vertical else 6, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))


def chance_line(axes: Axes, chance: float, *, vertical: bool = False) -> None:
    """Draw the accuracy of guessing."""
    line = axes.axvline if vertical else axes.axhline
    line(chance, label="chance", zorder=2.5, **CHANCE)


def steps_axis(axes: Axes, steps: np.ndarray, **labels: Any) -> None:
    """Mark inner steps, on a logarithmic axis that is linear up to the first step after 0."""
    if steps[-1] > 0:
        # Steps grow roughly geometrically after 0, which a logarithm cannot show.
        axes.set_xscale("symlog", linthresh=float(steps[steps > 0][0]))
    axes.set_xticks(steps, [f"{step:,}" for step in steps], **labels)
    axes.xaxis.set_minor_locator(NullLocator())


def ends(results: xr.Dataset, name: str = "accuracy") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean and both ends of the interval of a result."""
    mean, low, high = (results[f"{name}{end}"].values for end in ("", "_low", "_high"))
    return mean, low, high


def curve(axes: Axes, across: Any, mean: Any, low: Any, high: Any, *, alpha: float = 0.15, **look: Any) -> None:
    """Draw a curve of means with the band of its intervals."""
    axes.plot(across, mean, **look)
    axes.fill_between(across, low, high, color=look["color"], alpha=alpha, linewidth=0)


def bar(axes: Axes, place: float, cell: xr.Dataset, height: float, *, thickness: float = 1.0, **look: Any) -> None:
    """Draw the accuracy of a learner on episodes as a bar with its interval."""
    look = {"ecolor": "#202020", **look, "error_kw": {"elinewidth": thickness}}
    axes.barh(place, float(cell["accuracy"]), height, xerr=float(cell["interval"]), **look)


def entry(label: str, **look: Any) -> Line2D:
    """Make an entry of a legend."""
    return Line2D([], [], label=label, **look)


def legend_above(figure: Figure, axes: Axes, *, columns: int) -> None:
    """Put one legend for all panels above them, with what one of the panels shows."""
    entries_above(figure, axes.get_legend_handles_labels()[0], columns=columns)


def entries_above(figure: Figure, entries: Sequence[Any], *, columns: int, length: float = 2.6) -> None:
    """Put a legend above all panels, row by row, chance last. `length` is that of its lines, in letters."""
    ordered = sorted(entries, key=lambda entry: entry.get_label() == "chance")
    # Matplotlib fills a legend column by column.
    handles = [entry for column in range(columns) for entry in ordered[column::columns]]
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False, handlelength=length)


def sheet(
    images: UInt8[np.ndarray, "example height width channel"], rows: Sequence[np.ndarray], *, columns: int
) -> Float[np.ndarray, "tall wide *colour"]:
    """Lay out images by their indices in rows, with a pixel between them, as shares of the greatest brightness."""
    height, width, channels = images.shape[1:]
    tiles = np.zeros((len(rows), columns, height + 1, width + 1, channels))
    for tile, shown in zip(tiles, rows, strict=True):
        tile[: len(shown), :-1, :-1] = images[shown] / 255
    whole = tiles.transpose(0, 2, 1, 3, 4).reshape((height + 1) * len(rows), (width + 1) * columns, channels)
    return (whole[..., 0] if channels == 1 else whole)[:-1, :-1]


def methods(summary: xr.Dataset) -> dict[str, Look]:
    """Return the look of each representation of a summary, in its order."""
    return looks(dict(zip(summary["representation"].values.tolist(), summary["kind"].values.tolist(), strict=True)))


def embeddings(summary: xr.Dataset) -> dict[str, Look]:
    """Return the look of each embedding of a summary of learners, in its order, and of learners that take none."""
    kinds = dict(zip(summary["embedding"].values.tolist(), summary["embedding_kind"].values.tolist(), strict=True))
    return {**looks(kinds), NONE: Look("no embedding", "#c8c8c8")}


def of_trained(path: Path) -> xr.Dataset:
    """Read a summary of learners that says what has trained them.

    Raises:
        InputError: the summary does not say it.
    """
    results = read_netcdf(path)
    if "learner_key" not in results.coords:
        raise InputError(f"{path}: does not say what has trained its learners; run its study again")
    return results


def features_with(path: Path, variable: str, give: str) -> xr.Dataset:
    """Read a features store that holds a variable.

    Raises:
        InputError: the store lacks the variable; `give` names the features to give instead.
    """
    store = read_features(path)
    if variable not in store:
        raise InputError(f"{path}: holds no {variable}; give the features of {give}")
    return store


def by_name(paths: Sequence[Path]) -> dict[str, xr.Dataset]:
    """Read datasets, by their names."""
    return {str(store.attrs["name"]): store for store in map(read_zarr, paths)}


def running_mean(values: Float[np.ndarray, " step"], window: int) -> Float[np.ndarray, " step"]:
    """Return the mean of the last `window` values up to each step, or of fewer at the start."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    means: np.ndarray = (sums[ends] - sums[starts]) / (ends - starts)
    return means
