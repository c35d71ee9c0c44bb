"""A uniform sample of rows that come in batches, more than memory holds."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.sparse import issparse, vstack

NUMBERS, LEAST_ROWS = 2**24, 2**12
"""Numbers that a sample holds, and rows that it holds in any case."""


class Sample(NamedTuple):
    """A uniform sample of at most `most` of the rows added so far, in their order, whatever batches they came in."""

    seed: int
    most: int
    seen: int = 0
    """Rows added so far."""
    lots: Float64[np.ndarray, " row"] = np.empty(0)
    rows: Any = None

    def added(self, X: Any) -> "Sample":
        """Return the sample after each row of `X`, dense or CSR, drew a lot: the rows with the smallest are kept."""
        generator = np.random.PCG64(self.seed)
        generator.advance(self.seen)
        before, lots = len(self.lots), np.concatenate([self.lots, np.random.Generator(generator).random(X.shape[0])])
        kept = np.arange(len(lots))
        if len(lots) > self.most:
            kept = np.sort(np.argpartition(lots, self.most)[: self.most])
        old, new = kept[kept < before], kept[kept >= before] - before
        rows, seen = self.rows, self.seen + X.shape[0]
        if len(new):
            parts = [X[new]] if rows is None else [rows[old], X[new]]
            rows = vstack(parts, format="csr") if any(map(issparse, parts)) else np.concatenate(parts)
        return self._replace(seen=seen, lots=lots[kept], rows=rows)


def empty_sample(seed: int, columns: int) -> Sample:
    """Return a sample without rows, which will hold as many of this width as memory allows."""
    return Sample(seed, max(NUMBERS // columns, LEAST_ROWS))
