"""Neighbourhoods in an embedding."""

from collections.abc import Iterator

import numpy as np
from sklearn.neighbors import NearestNeighbors

from metaplastic.few_shot.partitioning.base import NONE, Assignment, Examples
from metaplastic.few_shot.spec import Neighbourhoods

NEAREST = 4
"""Neighbours that an example of a neighbourhood chooses from, in multiples of its members."""


def assignments(spec: Neighbourhoods, examples: Examples) -> Iterator[Assignment]:
    """Generate classes of neighbours: examples in random order each take the nearest ones that none has taken."""
    x = examples.features
    size = min(NEAREST * spec.members, len(x))
    nearest = NearestNeighbors(n_neighbors=size).fit(x).kneighbors(x, return_distance=False)
    for number in range(spec.partitions):
        classes, taken = np.full(len(x), NONE, np.int32), 0
        for example in np.random.default_rng([spec.seed, number]).permutation(len(x)):
            free = nearest[example, classes[nearest[example]] == NONE][: spec.members]
            if classes[example] == NONE and len(free) == spec.members:
                classes[free], taken = taken, taken + 1
        yield classes
