"""k-means clusters of an embedding (Hsu et al. 2019, Algorithm 1)."""

from collections.abc import Iterator

import numpy as np
from sklearn.cluster import KMeans

from metaplastic.few_shot.partitioning.base import Assignment, Examples
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
            seed = int(rng.integers(2**31 - 1))
            assigned = KMeans(spec.clusters, n_init=spec.restarts, max_iter=3000, random_state=seed).fit(scaled).labels_
            share = (np.bincount(assigned, minlength=spec.clusters) >= spec.members).mean()
            if share >= spec.accepted:
                break
        else:
            raise InputError(
                f"clusters: of {spec.clusters} clusters of {len(x)} examples only {share:.0%} have {spec.members} "
                f"members, accepted is {spec.accepted:.0%}; give fewer clusters or members"
            )
        yield assigned
