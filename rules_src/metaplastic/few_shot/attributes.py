"""Tasks from attributes (Hsu et al. 2019, on CelebA): two classes, whose examples differ in three attributes.

One class has a pattern of the three, the other its complement; examples in between are of neither.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int8

from metaplastic.datasets.arrays import Attributes

WEIGHTS = np.array([4, 2, 1])
"""Of the attributes in a pattern's number, so that a first entry of 0 makes it less than 4."""
CLASSES = 2


class Contrast(NamedTuple):
    """A partition by attributes."""

    attributes: tuple[int, ...]
    """Three of them."""
    pattern: int
    """What the first class has of them, as a binary number; its complement is that of 7 minus this."""


def attributes_of(attributes: Attributes, split: int) -> Bool[np.ndarray, "example attribute"]:
    """Those attributes that tasks of a split are made of."""
    return attributes.values[:, attributes.split == split]


def contrasts(values: Bool[np.ndarray, "example attribute"], members: int) -> list[Contrast]:
    """All pairs of a pattern with its complement that both have so many examples; each pair once."""
    found = []
    for chosen in combinations(range(values.shape[1]), len(WEIGHTS)):
        counts = np.bincount(values[:, chosen] @ WEIGHTS, minlength=8)
        found += [Contrast(chosen, pattern) for pattern in range(4) if counts[[pattern, 7 - pattern]].min() >= members]
    return found


def sides(values: Bool[np.ndarray, "example attribute"], contrast: Contrast) -> Int8[np.ndarray, " example"]:
    """0 for examples of the pattern, 1 for those of the complement, -1 for all others."""
    pattern = values[:, contrast.attributes] @ WEIGHTS
    return np.select([pattern == contrast.pattern, pattern == 7 - contrast.pattern], [0, 1], -1).astype(np.int8)
