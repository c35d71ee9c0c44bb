"""What stages read of stores that are to fit together."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float32

from metaplastic.features import read_features
from metaplastic.io.errors import InputError


class Embedding(NamedTuple):
    """What partitions and learners take of a features store."""

    values: Float32[np.ndarray, "seed example feature"]
    """Features after the last step, of all seeds of the first meta-training seed, then of the next."""
    attributes: dict[str, str]
    """What they are of, for the attributes of what is made of them."""


def read_embedding(path: Path, dataset: xr.Dataset) -> Embedding:
    """Read the features at `path`, which are to be of `dataset`.

    Raises:
        InputError: they are of another one, or as for `read_features`.
    """
    learned = read_features(path)
    check_same_dataset(path, learned, dataset)
    names = {"embedding": "method", "embedding_kind": "kind", "base_model": "base_model"}
    attributes = {name: learned.attrs[of] for name, of in names.items() if of in learned.attrs}
    values = learned["features"].values
    # What is recorded stands before examples and features, seeds before that.
    return Embedding(values[..., -1, :, :].reshape(-1, *values.shape[-2:]), attributes)


def check_same_dataset(path: Path, learned: xr.Dataset, dataset: xr.Dataset) -> None:
    """Refuse the store at `path` where it is of another dataset.

    Raises:
        InputError: it is.
    """
    if learned.attrs["dataset"] != dataset.attrs["name"]:
        raise InputError(f"{path}: of dataset {learned.attrs['dataset']!r}, not {dataset.attrs['name']!r}")
