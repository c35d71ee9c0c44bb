"""Principal components of features."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Components(NamedTuple):
    """Principal components of features."""

    scores: Float[np.ndarray, "example component"]
    shares: Float[np.ndarray, " component"]
    """Shares of the variance, largest first."""

    def first(self, count: int) -> Float[np.ndarray, "example {count}"]:
        """Return the scores of the first components, zero where there are fewer."""
        return np.pad(self.scores[:, :count], ((0, 0), (0, max(0, count - self.scores.shape[1]))))


def components(features: Float[np.ndarray, "example feature"]) -> Components:
    """Return the principal components of centred features; shares are zero where nothing varies."""
    centred = features - features.mean(0, dtype=np.float64)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    squares = singular**2
    return Components(left * singular, squares / (squares.sum() or 1.0))


def spread_evenly(indices: Int[np.ndarray, " index"], most: int) -> Int[np.ndarray, " kept"]:
    """Return at most `most` of the indices, spread evenly, since a store may be in the order of its classes."""
    return indices[:: -(-len(indices) // most)]


def effective_rank(shares: Float[np.ndarray, " component"]) -> float:
    """Return the effective rank (Roy and Vetterli 2007): exp of the entropy of the singular values.

    It is 1 if all variance lies along one line, the number of components if each has the same, and 0 if nothing varies.
    """
    singular = np.sqrt(shares[shares > 0])
    weights = singular / singular.sum()
    return float(np.exp(-(weights * np.log(weights)).sum())) if len(weights) else 0.0
