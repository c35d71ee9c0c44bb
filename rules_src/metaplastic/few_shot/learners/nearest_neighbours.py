"""Nearest neighbours among the support, a baseline of Hsu et al. 2019."""

from sklearn.neighbors import KNeighborsClassifier

from metaplastic.embeddings.base import Unlabelled
from metaplastic.few_shot.learners.base import EachEpisode
from metaplastic.few_shot.spec import NearestNeighbours


def fit(spec: NearestNeighbours, data: Unlabelled) -> EachEpisode:
    """Return a vote of the nearest support examples; it learns nothing from `data`."""
    return EachEpisode(lambda x, y, query: KNeighborsClassifier(min(spec.neighbours, len(x))).fit(x, y).predict(query))
