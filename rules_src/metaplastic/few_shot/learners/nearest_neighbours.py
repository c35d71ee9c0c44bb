"""Nearest neighbours among the support, a baseline of Hsu et al. 2019."""

from sklearn.neighbors import KNeighborsClassifier

from metaplastic.embeddings.base import Unlabelled
from metaplastic.few_shot.learners.base import EachEpisode, refitted
from metaplastic.few_shot.learners.spec import NearestNeighbours


def fit(spec: NearestNeighbours, data: Unlabelled) -> EachEpisode:
    """Return a vote of the nearest support examples; it learns nothing from `data`."""
    return refitted(lambda examples: KNeighborsClassifier(min(spec.neighbours, examples)))
