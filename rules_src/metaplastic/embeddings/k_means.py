"""Triangle features of k-means centroids (Coates, Ng and Lee 2011, section 3.2)."""

from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans

from metaplastic.embeddings.base import Embedded, Folder, Unlabelled
from metaplastic.embeddings.spec import KMeans as KMeansSpec


def embed(data: Unlabelled, spec: KMeansSpec, *, seeds: Sequence[int], folder: Folder) -> Embedded:
    """Return how much nearer each of `spec.features` centroids is than the mean centroid, or 0 if it is farther.

    Centroids are fitted on the training examples; there are fewer if fewer examples are distinct. Inputs are not
    standardised: that would weight pixels that hardly vary like all others, and cost 9 points on 10-shot 7x7 MNIST.
    """
    fitted, features = data.inputs[data.train], []
    centroids = min(spec.features, len(np.unique(fitted, axis=0)))
    for seed in seeds:
        distance = KMeans(centroids, random_state=seed, n_init=1).fit(fitted).transform(data.inputs)
        features.append(np.maximum(0.0, distance.mean(1, keepdims=True) - distance).astype(np.float32))
    return Embedded(np.stack(features)[:, None])
