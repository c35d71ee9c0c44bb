"""Clusters labelled by the support, a baseline of Hsu et al. 2019."""

import numpy as np
from jaxtyping import Float32, Int
from sklearn.cluster import KMeans

from metaplastic.embeddings.base import Unlabelled, check_clusters
from metaplastic.few_shot.learners.base import EachEpisode, nearness
from metaplastic.few_shot.spec import ClusterMatching


def fit(spec: ClusterMatching, data: Unlabelled) -> EachEpisode:
    """Cluster the features of the training examples; raise InputError if there are more clusters than examples."""
    x = data.inputs[data.train]
    check_clusters(spec.clusters, len(x))
    k_means = KMeans(spec.clusters, n_init=spec.restarts, max_iter=3000, random_state=spec.seed).fit(x)
    centroids = k_means.cluster_centers_.astype(np.float32)
    return EachEpisode(lambda support, classes, query: matched(centroids, support, classes, query))


def matched(
    centroids: Float32[np.ndarray, "cluster feature"],
    support: Float32[np.ndarray, "example feature"],
    classes: Int[np.ndarray, " example"],
    query: Float32[np.ndarray, "query feature"],
) -> Int[np.ndarray, " query"]:
    """Return the class of the nearest labelled centroid: the most frequent in its cluster, the first of several."""
    votes = np.zeros((len(centroids), classes.max() + 1), int)
    np.add.at(votes, (nearness(support, centroids).argmax(1), classes), 1)
    labelled = votes.sum(1) > 0
    return votes[labelled].argmax(1)[nearness(query, centroids[labelled]).argmax(1)]
