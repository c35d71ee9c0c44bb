"""Logistic regression on the support, a baseline of Hsu et al. 2019."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from metaplastic.embeddings.base import Unlabelled
from metaplastic.few_shot.learners.each_episode import EachEpisode
from metaplastic.few_shot.learners.spec import Linear

ITERATIONS = 1000
"""At most."""


def fit(spec: Linear, data: Unlabelled) -> EachEpisode:
    """Multinomial, with an L2 penalty; nothing is learned from `data`."""

    def fit_and_predict(support: np.ndarray, classes: np.ndarray, query: np.ndarray) -> np.ndarray:
        model = LogisticRegression(C=spec.c, max_iter=ITERATIONS)
        return np.asarray(model.fit(support, classes).predict(query))

    return EachEpisode(fit_and_predict)
