"""The interface of every kind of partition, and what kinds share.

Each kind has a module of its name in this folder with `assignments(spec, examples) -> Iterator[Assignment]`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, Integer

NONE = -1
"""Label of examples in no cluster."""

Features = Float32[np.ndarray, "example feature"]
Assignment = Integer[np.ndarray, " example"]
"""The cluster of each example, or `NONE`."""


class Examples(NamedTuple):
    """The training examples of a dataset."""

    features: Features
    """No columns for kinds that need none."""
    labels: Assignment
    attributes: Bool[np.ndarray, "example attribute"] | None
    """Those of the training split, for datasets that have them in place of labels."""


def without_small(clusters: Assignment, members: int) -> Int32[np.ndarray, " example"]:
    """Set clusters of fewer than `members` to -1; the others keep their numbers."""
    counts = np.bincount(clusters[clusters >= 0], minlength=1)
    large = (clusters >= 0) & (counts[clusters] >= members)
    return np.where(large, clusters, NONE).astype(np.int32)
