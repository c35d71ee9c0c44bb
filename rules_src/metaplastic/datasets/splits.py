"""Train/test splits of sources that come without one, and what is fitted to the training split."""

import numpy as np
from jaxtyping import Bool, Float64, Integer

from metaplastic.io.errors import InputError


def rounded_share(fraction: float, count: int) -> int:
    """Return `fraction` of `count`, rounded, halves up."""
    return int(np.floor(fraction * count + 0.5))


def stratified_test_mask(
    labels: Integer[np.ndarray, " example"], test_fraction: float, seed: int
) -> Bool[np.ndarray, " example"]:
    """Mark `test_fraction` of each class, drawn at random, as test examples; refuse to leave none, or none to train."""
    rng = np.random.default_rng(seed)
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        n_test = rounded_share(test_fraction, len(members))
        if n_test == 0:
            raise InputError(f"test_fraction: {test_fraction} leaves class {label} no test example; give more")
        if n_test == len(members):
            raise InputError(f"test_fraction: {test_fraction} leaves class {label} no training example; give less")
        test[members[:n_test]] = True
    return test


def standardised(
    values: Float64[np.ndarray, "example column"], train: Bool[np.ndarray, " example"]
) -> Float64[np.ndarray, "example column"]:
    """Scale columns to mean 0 and variance 1 over the training split; only centre those that are constant there."""
    fitted = values[train]
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = np.where(np.ptp(fitted, 0) > 0, fitted.std(0), 1.0)
        return (values - fitted.mean(0)) / deviation
