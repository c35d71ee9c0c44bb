"""Area resizing on the uint8 scale."""

import numpy as np
from jaxtyping import Float64, UInt8

from metaplastic.io.errors import InputError

BATCH = 1024


def overlaps(source: int, target: int) -> Float64[np.ndarray, "target source"]:
    """Overlap of each of `target` equal cells with each of `source` pixels on one axis, in units of 1/target pixel.

    The entries are integers, each row sums to `source`: products with uint8 images stay exact in float64.
    """
    cell, pixel = np.arange(target)[:, None], np.arange(source)[None, :]
    lower = np.maximum(cell * source, pixel * target)
    upper = np.minimum((cell + 1) * source, (pixel + 1) * target)
    overlap: np.ndarray = np.maximum(upper - lower, 0).astype(np.float64)
    return overlap


def area_means(
    images: UInt8[np.ndarray, "example row column channel"], side: int
) -> Float64[np.ndarray, "example {side} {side} channel"]:
    """Mean of each image over each cell of a `side` x `side` grid; an image's mean stays what it was."""
    means: np.ndarray = _sums(images, side) / (images.shape[1] * images.shape[2])
    return means


def resize(
    images: UInt8[np.ndarray, "example row column channel"], side: int, *, source: str
) -> UInt8[np.ndarray, "example {side} {side} channel"]:
    """Area means rounded to uint8, halves up: the same bits on every machine.

    Raises:
        InputError: `side` is larger than the images; `source` names them.
    """
    _, rows, columns, _ = images.shape
    if side > min(rows, columns):
        raise InputError(f"side: {side} is larger than the {rows} of {source}; give at most {min(rows, columns)}")
    if side == rows == columns:
        return images
    area = rows * columns
    resized = np.empty((len(images), side, side, images.shape[3]), np.uint8)
    for start in range(0, len(images), BATCH):
        sums = _sums(images[start : start + BATCH], side).astype(np.int64)
        resized[start : start + BATCH] = (2 * sums + area) // (2 * area)
    return resized


def _sums(
    images: UInt8[np.ndarray, "example row column channel"], side: int
) -> Float64[np.ndarray, "example {side} {side} channel"]:
    """Area means times rows times columns, which are integers."""
    over_rows, over_columns = overlaps(images.shape[1], side), overlaps(images.shape[2], side)
    planes = np.moveaxis(images, 3, 1).astype(np.float64)
    return np.moveaxis(over_rows @ planes @ over_columns.T, 1, 3)
