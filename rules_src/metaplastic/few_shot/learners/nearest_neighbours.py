"""Nearest neighbours among the support, a baseline of Hsu et al. 2019."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from metaplastic.embeddings.base import Unlabelled
from metaplastic.few_shot.learners.each_episode import EachEpisode
from metaplastic.few_shot.learners.spec import NearestNeighbours


def fit(spec: NearestNeighbours, data: Unlabelled) -> EachEpisode:
    """The most frequent class among the nearest support examples; nothing is learned from `data`."""

    def fit_and_predict(support: np.ndarray, classes: np.ndarray, query: np.ndarray) -> np.ndarray:
        model = KNeighborsClassifier(min(spec.neighbours, len(support)))
        return np.asarray(model.fit(support, classes).predict(query))

    return EachEpisode(fit_and_predict)
