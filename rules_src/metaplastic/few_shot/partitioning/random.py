"""Clusters drawn at random, a baseline of Hsu et al. 2019."""

from collections.abc import Iterator

import numpy as np

from metaplastic.few_shot.partitioning.base import Assignment, Examples
from metaplastic.few_shot.spec import Random


def assignments(spec: Random, examples: Examples) -> Iterator[Assignment]:
    """Draw the cluster of every example."""
    for number in range(spec.partitions):
        yield np.random.default_rng([spec.seed, number]).integers(spec.clusters, size=len(examples.labels))
