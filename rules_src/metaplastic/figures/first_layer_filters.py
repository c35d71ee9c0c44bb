"""First-layer weights as images, before and after a rule was applied (Metz et al. 2019, Figure 6 left)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metaplastic.features import identity_of
from metaplastic.figures import style
from metaplastic.io.errors import InputError

INPUTS = {"features": "learned features of images"}
NEEDS = ()
CAPTION = """\
First-layer weights of one seed, one row per dataset: before learning on the left, then after each rule was applied.
Each tile holds the incoming weights of one unit, put back in the order of the pixels and averaged over colour
channels. The colours of a panel span 95% of its weights, so scales differ between panels and all weights beyond the
ends are equally dark.
"""

UNITS, ROW, SEED = 16, 8, 0
PERCENTILE = 95
"""Percentile of a panel's absolute weights at which its colours end, since single large weights would make it pale."""


def draw(features: list[Path]) -> Figure:
    """Draw the first units of one seed: a row of panels per dataset, before learning on the left, then after each rule.

    Raises:
        InputError: a store has no weights, or its inputs are no images.
    """
    stores = {path: style.features_with(path, "first_layer_weights", "an update rule") for path in features}
    identities = {path: identity_of(store) for path, store in stores.items()}
    looks = style.looks({identity.method: identity.kind for identity in identities.values()})
    datasets = list(dict.fromkeys(identity.dataset for identity in identities.values()))
    figure, panels = style.grid(len(datasets), 1 + len(looks), (5 * (1 + len(looks)), 0.5 + 2.15 * len(datasets)))
    figure.set_layout_engine("compressed", wspace=0.06, hspace=0.06)
    for axes in panels.flat:
        axes.set_axis_off()
    for path, store in stores.items():
        identity = identities[path]
        row, column = datasets.index(identity.dataset), 1 + list(looks).index(identity.method)
        # Every rule starts from the same weights.
        _show(panels[row, 0], store, 0, identity.dataset, path)
        _show(panels[row, column], store, -1, f"{identity.dataset}, {looks[identity.method].label}", path)
    figure.suptitle(f"Each tile: incoming weights of one of {UNITS} first-layer units, its pixels put back in order")
    return figure


def _show(axes: Axes, store: xr.Dataset, step: int, place: str, path: Path) -> None:
    """Show the weights of a store at one of its inner steps, from the first of its meta-training seeds."""
    if axes.images:
        return
    chosen = {"meta_seed": 0, "seed": SEED, "inner_step": step}
    weights = store["first_layer_weights"].isel(chosen, missing_dims="ignore")
    permutation = store["input_permutation"].isel(seed=SEED).values
    at = int(weights["inner_step"])
    images = filter_images(weights.values[:, :UNITS], permutation, image_shape(store, path))
    sheet, limit = laid_out(images)
    axes.set_title(f"{place}, {f'after {at} inner steps' if at else 'before learning'}")
    shown = axes.imshow(sheet.astype(np.float64), cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    how: dict[str, Any] = {"location": "bottom", "shrink": 0.6, "aspect": 40, "extend": "both"}
    bar = axes.figure.colorbar(shown, ax=axes, ticks=[-limit, 0, limit], **how)
    bar.ax.set_xticklabels([f"{-limit:.2g}", "0", f"{limit:.2g}"])
    bar.set_label(f"weight; {PERCENTILE}% lie between the ends")


def image_shape(store: xr.Dataset, path: Path) -> list[int]:
    """Return rows, columns and channels; raise InputError if the inputs of the store at `path` are no images."""
    if "image_shape" not in store.attrs:
        if store.attrs.get("modality") == "image":
            raise InputError(f"{path}: of an earlier version, which tells no shape of images; remove it and run again")
        raise InputError(f"{path}: of data that are no images; filters are drawn of images only")
    return [int(size) for size in store.attrs["image_shape"]]


def laid_out(images: Float[np.ndarray, "unit row column"]) -> tuple[Float[np.ndarray, "tall wide"], float]:
    """Return images in rows on one sheet, with gaps of NaN, and the size that `PERCENTILE` of weights are below."""
    sheet = style.tiled([images[first : first + ROW] for first in range(0, len(images), ROW)], ROW, np.nan)
    return sheet, float(np.percentile(np.abs(images), PERCENTILE)) or 1.0


def filter_images(
    weights: Float[np.ndarray, "input unit"], permutation: Integer[np.ndarray, " input"], shape: Sequence[int]
) -> Float[np.ndarray, "unit row column"]:
    """Put weights back into pixel order, in rows, columns and channels of `shape`, and average them over channels.

    Base-model input j is the dataset's input `permutation[j]`.
    """
    in_order = np.empty_like(weights)
    in_order[permutation] = weights
    return in_order.T.reshape(-1, *shape).mean(3)
