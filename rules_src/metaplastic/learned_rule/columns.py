"""What is known about the columns of a table: how it is scaled, and which value stands for a missing one."""

from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64

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
    parts = (dense(X[part]).astype(np.float64) for part in slices(X.shape[0], X.shape[1:]))
    return reduce(Columns.joined, map(_of_rows, parts))


def _of_rows(rows: Float64[np.ndarray, "row column"]) -> Columns:
    there = ~np.isnan(rows)
    counts = there.sum(0).astype(np.float64)
    mean = rows.sum(0, where=there) / np.maximum(counts, 1)
    return Columns(np.fmin.reduce(rows), np.fmax.reduce(rows), mean, counts)
