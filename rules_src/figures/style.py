"""What all figures share: theme, one colour a method, percent axes, files that are equal when the data are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rules_src.errors import InputError
from rules_src.storage import write_whole

_BLUE, _ORANGE, _GREEN, _RED, _PINK, _BROWN, _ROSE, _GREY, _YELLOW, _SKY = sns.color_palette("colorblind", 10).as_hex()

_COLOURS = {
    "shipped": "#7f6fd0",
    "learned": _RED,
    "untrained": _ORANGE,
    "random-init": _GREY,
    "oja": _GREEN,
    "hebb": _PINK,
    "raw": "#303030",
    "pca": _BLUE,
    "k-means": _SKY,
}
_SPARE = (_BROWN, _ROSE, _YELLOW, "#8f8f3f")

_NAMES = {
    "shipped": "shipped rule",
    "learned": "learned rule",
    "untrained": "rule before meta-training",
    "random-init": "random initialisation",
    "oja": "Oja",
    "hebb": "Hebb",
    "raw": "raw input",
    "pca": "PCA",
    "k-means": "k-means features",
}

READOUT = "logistic-regression"
"""Readout that the figures show."""

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


def colours(methods: Sequence[str]) -> Mapping[str, str]:
    """One colour a method: the known ones always have theirs, others get the spare ones in order."""
    unknown = [method for method in methods if method not in _COLOURS]
    spare = {method: _SPARE[index % len(_SPARE)] for index, method in enumerate(unknown)}
    return {method: _COLOURS.get(method) or spare[method] for method in methods}


def readable(method: str) -> str:
    """How a method is called in a legend."""
    return _NAMES.get(method, method)


def percent_axis(axes: Axes) -> None:
    """Shares on the vertical axis, at least `NARROWEST` of them, labelled in whole percents, each at most once."""
    low, high = axes.get_ylim()
    missing = max(0.0, NARROWEST - (high - low))
    axes.set_ylim(low - missing / 2, high + missing / 2)
    axes.yaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))


def chance_line(axes: Axes, chance: float) -> None:
    """The accuracy of guessing."""
    axes.axhline(chance, color="#555555", linestyle=":", linewidth=1.5, label="chance", zorder=2.5)


def legend_above(figure: Figure, axes: Axes, *, columns: int) -> None:
    """One legend for all panels, above them: row by row in the order drawn, the line of chance last."""
    entries = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda entry: entry[1] == "chance")
    # Matplotlib fills a legend column by column.
    handles, labels = zip(*(entry for column in range(columns) for entry in entries[column::columns]), strict=True)
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False, handlelength=2.6)
