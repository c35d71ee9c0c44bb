"""What is known about the columns of a table: how it is scaled, and which value stands for a missing one."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from metaplastic.learned_rule.fitted import dense
from metaplastic.perceptron import slices


class Columns(NamedTuple):
    """Smallest, largest and mean value of each column, over the rows so far that have one."""

    low: Float[np.ndarray, " column"]
    high: Float[np.ndarray, " column"]
    mean: Float[np.ndarray, " column"]
    counts: Float[np.ndarray, " column"]

    def joined(self, other: "Columns") -> "Columns":
        """Return what is known of the rows of both."""
        counts = self.counts + other.counts
        mean = self.mean + (other.mean - self.mean) * other.counts / np.maximum(counts, 1)
        return Columns(np.fmin(self.low, other.low), np.fmax(self.high, other.high), mean, counts)


def columns_of(X: Any, *, means: bool) -> Columns:
    """Return what is known of the rows of `X`, dense or CSR; values are missing, and means computed, with `means`."""
    if not means:
        low, high = (np.ravel(dense(most)) for most in (X.min(0), X.max(0)))
        return Columns(low, high, np.zeros_like(low), np.full(len(low), float(X.shape[0])))
    found: Columns | None = None
    for part in slices(X.shape[0], X.shape[1:]):
        rows = dense(X[part]).astype(np.float64)
        there = ~np.isnan(rows)
        counts = there.sum(0).astype(np.float64)
        mean = rows.sum(0, where=there) / np.maximum(counts, 1)
        of_part = Columns(np.fmin.reduce(rows), np.fmax.reduce(rows), mean, counts)
        found = found.joined(of_part) if found else of_part
    assert found is not None  # noqa: S101
    return found
