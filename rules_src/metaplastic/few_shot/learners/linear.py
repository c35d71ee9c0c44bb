"""Logistic regression on the support, a baseline of Hsu et al. 2019."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from metaplastic.embeddings.base import Unlabelled
from metaplastic.few_shot.learners.base import EachEpisode
from metaplastic.few_shot.learners.spec import Linear

ITERATIONS = 1000
"""Most iterations of a fit."""


def fit(spec: Linear, data: Unlabelled) -> EachEpisode:
    """Return a multinomial regression with an L2 penalty; it learns nothing from `data`."""

    def fit_and_predict(support: np.ndarray, classes: np.ndarray, query: np.ndarray) -> np.ndarray:
        model = LogisticRegression(C=spec.c, max_iter=ITERATIONS)
        return np.asarray(model.fit(support, classes).predict(query))

    return EachEpisode(fit_and_predict)
