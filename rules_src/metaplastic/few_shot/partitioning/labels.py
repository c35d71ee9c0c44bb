"""The true labels, or sides of three attributes: the oracle of Hsu et al. 2019."""

from collections.abc import Iterator

import numpy as np

from metaplastic.few_shot.attributes import contrasts, sides
from metaplastic.few_shot.partitioning.base import Assignment, Examples
from metaplastic.few_shot.spec import Labels
from metaplastic.io.errors import InputError


def assignments(spec: Labels, examples: Examples) -> Iterator[Assignment]:
    """Generate partitions by attributes in random order, or the one by labels if the dataset has no attributes."""
    if examples.attributes is None:
        yield examples.labels
        return
    possible = contrasts(examples.attributes, spec.members)
    if not possible:
        n = spec.members
        raise InputError(f"members: no three attributes part {n} training examples from {n} others; give fewer")
    for chosen in np.random.default_rng(spec.seed).permutation(len(possible))[: spec.partitions]:
        yield sides(examples.attributes, possible[chosen])
