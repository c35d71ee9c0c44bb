"""Features in terms of their own principal components."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Components(NamedTuple):
    """Principal components of features."""

    scores: Float[np.ndarray, "example component"]
    shares: Float[np.ndarray, " component"]
    """Of the variance, largest first."""


def components(features: Float[np.ndarray, "example feature"]) -> Components:
    """Principal components of centred features; shares are zero where nothing varies."""
    centred = features - features.mean(0, dtype=np.float64)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    squares = singular**2
    return Components(left * singular, squares / (squares.sum() or 1.0))
