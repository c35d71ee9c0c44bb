"""The interface of every embedding: features of all examples, learned from the training ones without their labels.

A module of this folder has a function `embed(data, spec, *, seeds, folder) -> Embedded`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from metaplastic.datasets.arrays import Inputs
from metaplastic.io.errors import InputError


class Unlabelled(NamedTuple):
    """What an embedding sees of a dataset."""

    inputs: Float32[np.ndarray, "example input"]
    """Images in [0, 1], flattened row by row, channels last; other features as they are."""
    train: Bool[np.ndarray, " example"]
    """The examples to learn from."""
    image: tuple[int, int, int] | None
    """Rows, columns and channels of an image; none of data that are no images."""


class Embedded(NamedTuple):
    """What an embedding makes of a dataset."""

    features: Float32[np.ndarray, "seed step example feature"]
    """Of one seed where nothing is random."""
    steps: Sequence[int] = (0,)
    """Gradient steps after which they were taken; 0 where there are none."""
    history: Mapping[str, Float32[np.ndarray, "seed update"]] = {}
    """What a training reports of every gradient step."""


def image_of(data: Unlabelled) -> tuple[int, int, int]:
    """Rows, columns and channels.

    Raises:
        InputError: the data are no images, which convolutions take.
    """
    if data.image is None:
        raise InputError("convolutions take images, but the dataset has none; choose another method or dataset")
    return data.image


def square_image_of(data: Unlabelled, kind: str) -> tuple[int, int, int]:
    """As `image_of`, of a `kind` of embedding that turns images.

    Raises:
        InputError: the data are no square images.
    """
    image = image_of(data)
    if image[0] != image[1]:
        raise InputError(f"{kind}: images of {image[0]}x{image[1]} are not square; choose another embedding")
    return image


def unlabelled(data: Inputs) -> Unlabelled:
    """A dataset without its labels."""
    return Unlabelled(data.inputs, data.train, data.image)
