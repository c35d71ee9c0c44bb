"""Resizing on the uint8 scale."""

import numpy as np
from jaxtyping import Float64, UInt8

from metaplastic.io.errors import InputError

BATCH = 1024


def overlaps(source: int, target: int) -> Float64[np.ndarray, "target source"]:
    """Return the overlap of each of `target` equal cells with each of `source` pixels on one axis, in 1/target pixel.

    The entries are integers and each row sums to `source`, so products with uint8 images stay exact in float64.
    """
    cell, pixel = np.arange(target)[:, None], np.arange(source)[None, :]
    lower = np.maximum(cell * source, pixel * target)
    upper = np.minimum((cell + 1) * source, (pixel + 1) * target)
    return np.maximum(upper - lower, 0).astype(np.float64)


def resize(
    images: UInt8[np.ndarray, "example row column channel"], side: int, *, source: str, resizing: str = "area"
) -> UInt8[np.ndarray, "example {side} {side} channel"]:
    """Average over the cells of a `side` x `side` grid and round, halves up: the same bits on every machine.

    By `resizing` with "striding", take the first pixel of each cell instead.

    Raises:
        InputError: `side` is larger than the images; `source` names them.
    """
    _, rows, columns, _ = images.shape
    if side > min(rows, columns):
        least = min(rows, columns)
        raise InputError(f"side: {side} is larger than the {least} of {source}; give at most {least}")
    if side == rows == columns:
        return images
    if resizing == "striding":
        down, across = (np.arange(side) * size // side for size in (rows, columns))
        return images[:, down[:, None], across]
    area = rows * columns
    resized = np.empty((len(images), side, side, images.shape[3]), np.uint8)
    for start in range(0, len(images), BATCH):
        planes = np.moveaxis(images[start : start + BATCH], 3, 1).astype(np.float64)
        sums = (overlaps(rows, side) @ planes @ overlaps(columns, side).T).astype(np.int64)
        resized[start : start + BATCH] = np.moveaxis((2 * sums + area) // (2 * area), 1, 3)
    return resized
