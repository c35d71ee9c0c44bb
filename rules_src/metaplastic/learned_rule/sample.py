"""A uniform sample of rows that come in batches, more than memory holds."""

from typing import Any

import numpy as np
from scipy.sparse import issparse, vstack

NUMBERS, LEAST_ROWS = 2**24, 2**12
"""Numbers that a sample holds, and rows that it holds in any case."""


class Sample:
    """A uniform sample of at most `most` of the rows added so far, in their order, whatever batches they came in."""

    def __init__(self, seed: int, columns: int) -> None:
        self.most = max(NUMBERS // columns, LEAST_ROWS)
        self.rows: Any = None
        self._generator = np.random.default_rng(seed)
        self._lots = np.empty(0)

    def add(self, X: Any) -> None:
        """Give each row of `X`, dense or CSR, a random number, and keep the rows with the smallest."""
        before, lots = len(self._lots), np.concatenate([self._lots, self._generator.random(X.shape[0])])
        kept = np.arange(len(lots))
        if len(lots) > self.most:
            kept = np.sort(np.argpartition(lots, self.most)[: self.most])
        old, new = kept[kept < before], kept[kept >= before] - before
        if not len(new):
            return
        parts = [X[new]] if self.rows is None else [self.rows[old], X[new]]
        self.rows = vstack(parts, format="csr") if any(map(issparse, parts)) else np.concatenate(parts)
        self._lots = lots[kept]
