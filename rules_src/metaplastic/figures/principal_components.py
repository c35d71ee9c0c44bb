"""Principal components of features before and after a rule was applied (Metz et al. 2019, Figure 6)."""

from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metaplastic.datasets.schema import TEST
from metaplastic.features import identity_of, read_features
from metaplastic.figures import style
from metaplastic.results.components import Components, components, spread_evenly

INPUTS = {"features": "learned features", "datasets": "datasets"}
NEEDS = ()
ON_REQUEST = True
CAPTION = """\
One row per dataset. Left and centre: up to 1,000 test examples, placed by the first three principal components of the
features of one seed, before and after the rule was applied. Colours are classes, which the rule never sees, and each
axis names its share of the variance. Right: the share of the variance (%) that the first components explain together,
as the mean and 95% band over seeds. A curve that rises late belongs to features that use many dimensions.
"""

SEED, SHOWN = 0, 1000
"""Seed whose components are shown, and the most test examples."""


def draw(features: list[Path], datasets: list[Path]) -> Figure:
    """Draw per dataset test examples before and after, and the cumulative variance; errors are `style.given`'s."""
    stores = {path: read_features(path) for path in features}
    labelled = style.given(datasets, {path: identity_of(store).dataset for path, store in stores.items()})
    figure = Figure(figsize=(14.5, 0.6 + 4.4 * len(stores)), layout="constrained")
    for row, store in enumerate(stores.values()):
        identity, of_first = identity_of(store), store["features"].isel(meta_seed=0, missing_dims="ignore")
        look, dataset = style.look(identity.method, identity.kind), labelled[identity.dataset]
        test = spread_evenly(np.flatnonzero(dataset["split"].values == TEST), SHOWN)
        labels = dataset["label"].values[test]
        colours = np.array(sns.color_palette("colorblind", max(10, int(labels.max()) + 1)))
        steps = of_first["inner_step"].values[[0, -1]].tolist()
        for column, step in enumerate(steps):
            axes: Any = figure.add_subplot(len(stores), 3, 3 * row + column + 1, projection="3d")
            found = components(of_first.isel(seed=SEED).sel(inner_step=step).values)
            _scatter(axes, found, test, colours[labels])
            axes.set_title(f"{_after(step)}\n{look.label if column else identity.dataset}")
        names = zip(dataset.attrs["class_names"][:10], colours, strict=False)
        classes = [style.entry(name, linestyle="", marker="o", color=colour) for name, colour in names]
        beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.12, 0.5), "frameon": False}
        axes.legend(handles=classes, title="class", fontsize="small", **beside)
        axes = figure.add_subplot(len(stores), 3, 3 * row + 3, title=identity.dataset)
        for step, of_step, mark in zip(steps, ("#8f8f8f", look.colour), "so", strict=True):
            of_seeds = of_first.sel(inner_step=step).values
            shares = np.stack([components(values).shares.cumsum() for values in of_seeds], 1)
            line = {"color": of_step, "marker": mark, "markersize": 3.5, "label": _after(step)}
            style.curve_of_seeds(axes, shares, highest=1.0, **line)
        axes.set(xlabel="principal components", ylabel="variance of features explained (%)", ylim=(0, 1.02))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        style.percent_axis(axes)
        axes.legend(frameon=False, loc="lower right")
    return figure


def _after(step: int) -> str:
    return f"after {step:,} inner steps" if step else "before learning"


def _scatter(axes: Any, found: Components, shown: np.ndarray, colours: np.ndarray) -> None:
    scores = found.first(3)[shown] / (found.scores[:, 0].std() or 1.0)
    axes.scatter(*scores.T, c=colours, s=5, alpha=0.7, linewidth=0)
    for axis, share, name in zip("xyz", np.pad(found.shares, (0, 3))[:3], ("first", "second", "third"), strict=True):
        getattr(axes, f"set_{axis}label")(f"{name} ({100 * share:.0f}%)", labelpad=-8, fontsize="small")
        getattr(axes, f"set_{axis}ticklabels")([])
    axes.view_init(elev=24, azim=-60)
