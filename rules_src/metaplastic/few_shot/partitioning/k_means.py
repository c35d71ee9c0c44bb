"""k-means clusters of an embedding (Hsu et al. 2019, Algorithm 1)."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from metaplastic.few_shot.partitioning.base import Assignment, Examples, Features
from metaplastic.few_shot.spec import Clusters
from metaplastic.io.errors import InputError


def assignments(spec: Clusters, examples: Examples) -> Iterator[Assignment]:
    """Generate clusters of the features."""
    x = examples.features
    for number in range(spec.partitions):
        rng = np.random.default_rng([spec.seed, number])
        # A random diagonal metric; the first partition has that of the embedding.
        scaled = x if number == 0 else x * rng.random(x.shape[1], dtype=np.float32)
        for _ in range(spec.attempts):
            assigned = _k_means(scaled, spec, int(rng.integers(2**31 - 1)))
            share = (np.bincount(assigned, minlength=spec.clusters) >= spec.members).mean()
            if share >= spec.accepted:
                break
        else:
            raise InputError(
                f"clusters: of {spec.clusters} clusters of {len(x)} examples only {share:.0%} have {spec.members} "
                f"members, accepted is {spec.accepted:.0%}; give fewer clusters or members"
            )
        yield assigned


def _k_means(x: Features, spec: Clusters, seed: int) -> Assignment:
    if spec.library == "scikit-learn":
        return KMeans(spec.clusters, n_init=spec.restarts, max_iter=3000, random_state=seed).fit(x).labels_
    try:
        faiss: Any = import_module("faiss")
    except ImportError as error:
        raise InputError("library: faiss is not installed; install faiss-cpu or choose scikit-learn") from error
    options = {"niter": 100, "nredo": spec.restarts, "seed": seed, "max_points_per_centroid": len(x)}
    model, x = faiss.Kmeans(x.shape[1], spec.clusters, **options), np.ascontiguousarray(x)
    model.train(x)
    return np.asarray(model.index.search(x, 1)[1][:, 0], np.int32)
