"""The one schema of a dataset, whatever its source.

`image (example, row, column, channel)` uint8, `feature (example, word)` uint8 or `feature (example, column)` float32,
`label (example)` int32, and `split (example)` uint8, 0 for train and 1 for test (CF flags in its attributes).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float32, Integer, UInt8

TRAIN, TEST = 0, 1


class About(NamedTuple):
    """What is known of a source."""

    source: str
    title: str
    licence: str
    citation: str


def image_dataset(
    image: UInt8[np.ndarray, "example row column channel"],
    label: Integer[np.ndarray, " example"],
    test: Bool[np.ndarray, " example"],
    about: About,
    **attributes: Any,
) -> xr.Dataset:
    """Put images into the schema; `attributes` as in `feature_dataset`."""
    return _dataset("image", ("row", "column", "channel"), image, label, test, {**about._asdict(), **attributes})


def feature_dataset(
    feature: UInt8[np.ndarray, "example word"],
    label: Integer[np.ndarray, " example"],
    test: Bool[np.ndarray, " example"],
    about: About,
    **attributes: Any,
) -> xr.Dataset:
    """Put word counts of texts into the schema.

    `attributes` hold `class_names`, `checksum` (lines of SHA-256 and file name), `checksum_kind` (what the checksums
    are of) and whatever else the source says.
    """
    return _dataset("text", ("word",), feature, label, test, {**about._asdict(), **attributes})


def table_dataset(
    feature: Float32[np.ndarray, "example column"],
    label: Integer[np.ndarray, " example"],
    test: Bool[np.ndarray, " example"],
    about: About,
    **attributes: Any,
) -> xr.Dataset:
    """Put columns of numbers into the schema; `attributes` as in `feature_dataset`."""
    return _dataset("table", ("column",), feature, label, test, {**about._asdict(), **attributes})


def _dataset(
    modality: str,
    dimensions: Sequence[str],
    values: UInt8[np.ndarray, "example ..."] | Float32[np.ndarray, "example ..."],
    label: Integer[np.ndarray, " example"],
    test: Bool[np.ndarray, " example"],
    attributes: dict[str, Any],
) -> xr.Dataset:
    flags = {"flag_values": [TRAIN, TEST], "flag_meanings": "train test"}
    variable = "image" if modality == "image" else "feature"
    return xr.Dataset(
        {
            variable: (("example", *dimensions), values),
            "label": ("example", label.astype(np.int32)),
            "split": ("example", np.where(test, TEST, TRAIN).astype(np.uint8), flags),
        },
        attrs={
            "name": attributes["source"],
            "modality": modality,
            "n_train": int((~test).sum()),
            "n_test": int(test.sum()),
            **attributes,
        },
    )
