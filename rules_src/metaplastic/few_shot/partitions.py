"""From features to label vectors: the clusters that pseudo-tasks take for classes (Hsu et al. 2019, Algorithm 1)."""

from collections.abc import Iterator
from importlib import import_module

import numpy as np
from jaxtyping import Bool, Int32

from metaplastic.datasets.arrays import Attributes
from metaplastic.datasets.schema import TRAIN
from metaplastic.embeddings.base import check_clusters
from metaplastic.few_shot.partitioning.base import NONE, Assignment, Examples, Features, without_small
from metaplastic.few_shot.spec import Partition
from metaplastic.io.errors import InputError


def partitions(
    spec: Partition,
    train: Bool[np.ndarray, " example"],
    *,
    features: Features | None = None,
    labels: Assignment | None = None,
    attributes: Attributes | None = None,
) -> Iterator[Int32[np.ndarray, " example"]]:
    """Generate label vectors one by one; examples in no cluster or outside the training split have label -1.

    Clusters of fewer than `spec.members` are dropped. More partitions of one seed begin with the same partitions.
    `features` of all examples are for kinds that partition them. The true `labels` are for the oracle only; if the
    dataset has `attributes`, it takes these instead.

    Raises:
        InputError: more clusters than examples, attributes that part too few of them, features that are not finite,
            k-means without enough large clusters, or no planes with enough examples on either side.
    """
    check_clusters(getattr(spec, "clusters", 0), int(train.sum()))
    x = np.zeros((len(train), 0), np.float32) if features is None else features
    if not np.isfinite(x).all():
        raise InputError("features that are not finite; their embedding may have diverged")
    known = np.full(len(train), NONE) if labels is None else labels
    shown = attributes and attributes.values[train][:, attributes.split == TRAIN]
    examples = Examples(x[train], known[train], shown)
    for found in import_module(spec.module).assignments(spec, examples):
        everywhere = np.full(len(train), NONE, np.int32)
        everywhere[train] = without_small(found, spec.members)
        yield everywhere


def number_of_partitions(spec: Partition, attributes: Attributes | None = None) -> int:
    """Return the number of partitions; from attributes, the most there can be."""
    return 1 if spec.true_labels and attributes is None else spec.partitions
