"""From a dataset store to the arrays that methods learn from."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float32, Int32, Num, UInt8

from metaplastic.datasets.images import resize
from metaplastic.datasets.schema import TEST, TRAIN


class Attributes(NamedTuple):
    """Yes-or-no attributes of examples that have no classes."""

    values: Bool[np.ndarray, "example attribute"]
    split: UInt8[np.ndarray, " attribute"]
    """Split whose tasks each attribute is for, in codes of the schema."""


class Inputs(NamedTuple):
    """A dataset as rows of numbers."""

    inputs: Float32[np.ndarray, "example input"]
    """Images in [0, 1], flattened row by row, channels last; words by their weighting; other features as they are."""
    labels: Int32[np.ndarray, " example"]
    split: Num[np.ndarray, " example"] | Bool[np.ndarray, " example"]
    """Codes of the schema: 0 for train, 1 for test, 2 for validation."""
    image: tuple[int, int, int] | None = None
    """Rows, columns and channels of an image, or None for data of another modality."""
    attributes: Attributes | None = None
    """Given in place of labels, which are then all alike."""

    @property
    def train(self) -> Bool[np.ndarray, " example"]:
        """True for the examples of the training split."""
        return self.split == TRAIN

    @property
    def test(self) -> Bool[np.ndarray, " example"]:
        """True for the examples of the test split."""
        return self.split == TEST


def load_inputs(dataset: xr.Dataset) -> Inputs:
    """Flatten the examples of a dataset to rows."""
    is_image = dataset.attrs["modality"] == "image"
    values = dataset["image" if is_image else "feature"].values
    rows = unit_range(values) if is_image else values.astype(np.float32)
    if "weighting" in dataset.attrs:
        rows = weighted(rows, dataset["split"].values == TRAIN, dataset.attrs["weighting"])
    return Inputs(
        rows.reshape(len(rows), -1),
        dataset["label"].values.astype(np.int32),
        dataset["split"].values,
        values.shape[1:] if is_image else None,
        attributes_of_dataset(dataset),
    )


def attributes_of_dataset(dataset: xr.Dataset) -> Attributes | None:
    """Return the attributes of a dataset, if it has any."""
    if "attribute" not in dataset:
        return None
    return Attributes(dataset["attribute"].values, dataset["attribute_split"].values)


def weighted(
    counts: Float32[np.ndarray, "example word"], train: Bool[np.ndarray, " example"], weighting: str
) -> Float32[np.ndarray, "example word"]:
    """Return counts of words by a source's `weighting`; document frequencies are those of the training split.

    The inverse document frequency is scikit-learn's, log((1 + texts) / (1 + texts with the word)) + 1.
    """
    if weighting == "binary":
        return (counts > 0).astype(np.float32)
    if weighting == "log":
        return np.log1p(counts)
    if weighting == "tf-idf":
        rare = np.log((1 + train.sum()) / (1 + (counts[train] > 0).sum(0))) + 1
        rows = counts * rare.astype(np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return counts


def unit_range(pixels: Num[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Scale pixels of 0 to 255 to numbers in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)


def grey_pixels(
    images: UInt8[np.ndarray, "example row column channel"], side: int, source: str
) -> Float32[np.ndarray, "example {side} {side}"]:
    """Resize images as `images.resize` does and average their channels, still of 0 to 255."""
    return resize(images, side, source=source).mean(-1, dtype=np.float32)
