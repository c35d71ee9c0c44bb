"""From a dataset store to the arrays that methods learn from."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float32, Int32

from rules_src.datasets.schema import TEST


class Inputs(NamedTuple):
    """A dataset as rows of numbers."""

    inputs: Float32[np.ndarray, "example input"]
    """Images in [0, 1], flattened row by row, channels last; other features as they are."""
    labels: Int32[np.ndarray, " example"]
    test: Bool[np.ndarray, " example"]
    """True for the examples of the test split."""


def load_inputs(dataset: xr.Dataset) -> Inputs:
    """Flatten a dataset of the one schema."""
    if dataset.attrs["modality"] == "image":
        values = dataset["image"].values.astype(np.float32) / np.float32(255)
    else:
        values = dataset["feature"].values.astype(np.float32)
    return Inputs(
        values.reshape(len(values), -1), dataset["label"].values.astype(np.int32), dataset["split"].values == TEST
    )
