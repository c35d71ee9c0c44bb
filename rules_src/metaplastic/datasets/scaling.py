"""Columns of a table on one scale, since each comes in units of its own."""

import numpy as np
from jaxtyping import Bool, Float64


def standardised(
    values: Float64[np.ndarray, "example column"], train: Bool[np.ndarray, " example"]
) -> Float64[np.ndarray, "example column"]:
    """Values with mean 0 and variance 1 over the training split; columns that are constant there are only centred."""
    fitted = values[train]
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = np.where(np.ptp(fitted, 0) > 0, fitted.std(0), 1.0)
        scaled: np.ndarray = (values - fitted.mean(0)) / deviation
    return scaled
