"""The interface of every embedding: features of all examples, learned from the training examples without their labels.

Each kind has a module of its name in this folder with a function `embed(data, spec, *, seeds, folder) -> Embedded`.
Random ones embed the data once for each of the integers `seeds`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int

from metaplastic.datasets.arrays import Inputs
from metaplastic.embeddings.spec import Neighbours
from metaplastic.io.errors import InputError
from metaplastic.training.loop import Folder as Folder


class Unlabelled(NamedTuple):
    """The part of a dataset that an embedding sees."""

    inputs: Float32[np.ndarray, "example input"]
    """Images in [0, 1], flattened row by row with channels last; other features as they are."""
    train: Bool[np.ndarray, " example"]
    """The examples to learn from."""
    image: tuple[int, int, int] | None
    """Rows, columns and channels of an image; None if the data are not images."""


class Embedded(NamedTuple):
    """The features of a dataset that an embedding returns."""

    features: Float32[np.ndarray, "seed step example feature"]
    """One seed only where nothing is random."""
    steps: Sequence[int] = (0,)
    """Gradient steps after which the features were taken; 0 where there is no training."""
    history: Mapping[str, Float32[np.ndarray, "seed update"]] = {}
    """Metrics of every gradient step by name."""
    networks: Any = None
    """What was trained, as it was after the last step, with an axis of seeds in front."""


def image_of(data: Unlabelled, *, square_for: str = "") -> tuple[int, int, int]:
    """Return rows, columns and channels; refuse other data, and what is not square if `square_for` is given."""
    if data.image is None:
        raise InputError("convolutions take images, but the dataset has none; choose another method or dataset")
    rows, columns, _ = data.image
    if square_for and rows != columns:
        raise InputError(
            f"{square_for}: images of {rows}x{columns} are not square; choose square ones or do without it"
        )
    return data.image


def unlabelled(data: Inputs) -> Unlabelled:
    """Return a dataset without its labels."""
    return Unlabelled(data.inputs, data.train, data.image)


def check_clusters(clusters: int, examples: int, *, of: str = "") -> None:
    """Raise InputError if there are more clusters than training examples; `of` names the kind that has them."""
    if clusters > examples:
        key = f"{of}: clusters" if of else "clusters"
        raise InputError(f"{key}: {clusters} are more than the {examples} training examples; give fewer")


def fitted_examples(data: Unlabelled, spec: Neighbours, seed: int) -> Int[np.ndarray, " fitted_example"]:
    """Draw at most `spec.examples` training examples; raise InputError if there are not more than neighbours."""
    indices = np.flatnonzero(data.train)
    if len(indices) <= spec.neighbours:
        raise InputError(f"neighbours: {spec.neighbours} take more training examples than the {len(indices)} there are")
    if len(indices) > spec.examples:
        indices = np.sort(np.random.default_rng(seed).choice(indices, spec.examples, replace=False))
    return indices
