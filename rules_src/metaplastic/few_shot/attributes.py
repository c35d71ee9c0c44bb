"""Classes made of attributes (Hsu et al. 2019, on CelebA): one has a pattern of three, the other its complement."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int8

WEIGHTS = np.array([4, 2, 1])
"""Weights of the attributes in a pattern's number: a pattern whose first entry is 0 is less than 4."""

Values = Bool[np.ndarray, "example attribute"]


class Contrast(NamedTuple):
    """A partition by three attributes."""

    attributes: tuple[int, ...]
    pattern: int
    """The first class's pattern as a binary number; the complement is 7 minus this."""


def contrasts(values: Values, members: int) -> list[Contrast]:
    """Return each pair of a pattern and its complement, once, if both have at least `members` examples."""
    found = []
    for chosen in combinations(range(values.shape[1]), 3):
        counts = np.bincount(values[:, chosen] @ WEIGHTS, minlength=8)
        found += [Contrast(chosen, pattern) for pattern in range(4) if counts[[pattern, 7 - pattern]].min() >= members]
    return found


def sides(values: Values, contrast: Contrast) -> Int8[np.ndarray, " example"]:
    """Return 0 for examples of the pattern, 1 for those of the complement, -1 for all others."""
    pattern = values[:, contrast.attributes] @ WEIGHTS
    return np.select([pattern == contrast.pattern, pattern == 7 - contrast.pattern], [0, 1], -1).astype(np.int8)
