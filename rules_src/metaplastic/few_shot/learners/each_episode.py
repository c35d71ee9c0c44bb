"""Learners that are fitted anew on the support of each episode."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

FitAndPredict = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From examples, their classes and further examples to the classes of those."""


class EachEpisode(NamedTuple):
    """A `Learner` made of what fits and predicts one episode."""

    fit_and_predict: FitAndPredict

    def predict(
        self,
        support: Float32[np.ndarray, "episode way shots input"],
        query: Float32[np.ndarray, "episode way queries input"],
    ) -> Int[np.ndarray, "episode way queries"]:
        """As `Learner.predict`."""
        _, way, shots, width = support.shape
        classes = np.repeat(np.arange(way), shots)
        # The matrices are too small to share between threads.
        with threadpool_limits(1):
            predicted = [
                self.fit_and_predict(s.reshape(-1, width), classes, q.reshape(-1, width))
                for s, q in zip(support, query, strict=True)
            ]
        return np.stack(predicted).reshape(query.shape[:3])
