"""Nearest neighbours among the support, a baseline of Hsu et al. 2019."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from metaplastic.embeddings.base import Unlabelled
from metaplastic.few_shot.learners.base import EachEpisode
from metaplastic.few_shot.learners.spec import NearestNeighbours


def fit(spec: NearestNeighbours, data: Unlabelled) -> EachEpisode:
    """Return a vote of the nearest support examples; it learns nothing from `data`."""

    def fit_and_predict(support: np.ndarray, classes: np.ndarray, query: np.ndarray) -> np.ndarray:
        model = KNeighborsClassifier(min(spec.neighbours, len(support)))
        return np.asarray(model.fit(support, classes).predict(query))

    return EachEpisode(fit_and_predict)
