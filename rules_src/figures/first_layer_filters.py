"""First-layer weights as images, before and after a rule was applied (Metz et al. 2019, Figure 6 left)."""

from math import isqrt
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.figure import Figure

from rules_src.errors import InputError
from rules_src.figures import style
from rules_src.storage import read_zarr

UNITS, ROW = 16, 8
SEED = 0


def draw(inputs: list[Path]) -> Figure:
    """The first units of one seed; one row of panels a store, the first inner step left, the last one right.

    Args:
        inputs: features stores of image datasets, at `<base model>/<method>/<dataset>.zarr`.

    Raises:
        InputError: a store has no weights, or they do not belong to square images.
    """
    figure = Figure(figsize=(9.5, 0.2 + 2.1 * len(inputs)), layout="constrained")
    rows = figure.subfigures(len(inputs), 1, squeeze=False)[:, 0]
    several = len({path.parent for path in inputs}) > 1
    for row, path in zip(rows, inputs, strict=True):
        store = read_zarr(path)
        if "first_layer_weights" not in store:
            raise InputError(f"{path}: holds no first_layer_weights; give the features of an update rule")
        weights = store["first_layer_weights"].isel(seed=SEED)
        permutation = store["input_permutation"].isel(seed=SEED).values
        place = f"{style.readable(path.parent.name)}, {path.parent.parent.name}: " if several else ""
        for panel, step in zip(row.subfigures(1, 2, wspace=0.04), (0, -1), strict=True):
            at = int(weights["inner_step"].values[step])
            panel.suptitle(f"{place}{path.stem}, after {at} inner steps", fontsize="medium")
            images = filter_images(weights.isel(inner_step=step).values[:, :UNITS], permutation, path)
            largest = float(np.abs(images).max()) or 1.0
            axes = panel.subplots()
            axes.set_axis_off()
            shown = axes.imshow(montage(images), cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
            bar = panel.colorbar(shown, ax=axes, location="bottom", shrink=0.6, aspect=40, ticks=[-largest, 0, largest])
            bar.ax.set_xticklabels([f"weight {-largest:.2g}", "0", f"{largest:.2g}"])
    return figure


def filter_images(
    weights: Float[np.ndarray, "input unit"], permutation: Integer[np.ndarray, " input"], path: Path
) -> Float[np.ndarray, "unit side side"]:
    """Weights put back into pixel order, averaged over colour channels.

    Base-model input j is the dataset's input `permutation[j]`.

    Raises:
        InputError: the inputs are no square image of one or three channels; `path` names them.
    """
    inputs = len(weights)
    channels = next((c for c in (1, 3) if c * isqrt(inputs // c) ** 2 == inputs), None)
    if channels is None:
        raise InputError(f"{path}: {inputs} inputs are no square image of one or three channels")
    side = isqrt(inputs // channels)
    in_order = np.empty_like(weights)
    in_order[permutation] = weights
    images: np.ndarray = in_order.T.reshape(-1, side, side, channels).mean(3)
    return images


def montage(images: Float[np.ndarray, "unit side side"]) -> Float[np.ndarray, "height width"]:
    """Images in rows of eight, NaN in the gaps of one pixel between them."""
    _, side, _ = images.shape
    cell, rows = side + 1, -(-len(images) // ROW)
    sheet = np.full((rows * cell - 1, ROW * cell - 1), np.nan)
    for index, image in enumerate(images):
        top, left = cell * (index // ROW), cell * (index % ROW)
        sheet[top : top + side, left : left + side] = image
    return sheet
