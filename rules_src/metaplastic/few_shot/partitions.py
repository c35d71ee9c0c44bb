"""Features to label vectors: the clusters that pseudo-tasks take for classes (Hsu et al. 2019, Algorithm 1).

Every kind is a generator of partitions, so that whoever asks can say how far it is.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import islice
from math import ceil, log2
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Integer
from sklearn.cluster import KMeans

from metaplastic.datasets.arrays import Attributes
from metaplastic.datasets.schema import TRAIN
from metaplastic.few_shot.attributes import attributes_of, contrasts, sides
from metaplastic.few_shot.spec import Clusters, Hyperplanes, Labels, Partition, Random
from metaplastic.io.errors import InputError

ITERATIONS = 3000
"""At most, of one k-means."""

NONE = -1
"""Label of what is in no cluster."""

Assignment = Int32[np.ndarray, " example"]


def partitions(
    spec: Partition,
    train: Bool[np.ndarray, " example"],
    *,
    features: Float32[np.ndarray, "example feature"] | None = None,
    labels: Integer[np.ndarray, " example"] | None = None,
    attributes: Attributes | None = None,
) -> Iterator[Assignment]:
    """One label vector after another; -1 for examples that are in no cluster, those outside the training split too.

    Clusters of fewer than `spec.members` are dropped.

    Args:
        spec: kind, sizes and seed. The partitions of one seed are the first of more partitions.
        train: the training split.
        features: an embedding of all examples, for kinds that partition one.
        labels: true labels, for the oracle alone.
        attributes: what there is in place of labels, if anything.

    Raises:
        InputError: more clusters than examples, attributes that part too few of them, features that are not finite,
            k-means without enough large clusters, no planes with enough examples on either side, or faiss is not
            installed.
    """
    if features is not None and not np.isfinite(features).all():
        raise InputError("features that are not finite; their embedding may have diverged")
    for clusters in _of_training_examples(spec, train, features, labels, attributes):
        everywhere = np.full(len(train), NONE, np.int32)
        everywhere[train] = without_small(clusters, spec.members)
        yield everywhere


def number_of_partitions(spec: Partition, attributes: Attributes | None = None) -> int:
    """How many there will be; of attributes, at most."""
    return 1 if isinstance(spec, Labels) and attributes is None else spec.partitions


def without_small(clusters: Integer[np.ndarray, " example"], members: int) -> Assignment:
    """Clusters of fewer than so many members become -1; the others keep their numbers."""
    counts = np.bincount(clusters[clusters >= 0], minlength=1)
    large = (clusters >= 0) & (counts[clusters] >= members)
    return np.where(large, clusters, NONE).astype(np.int32)


def _of_training_examples(
    spec: Partition,
    train: Bool[np.ndarray, " example"],
    features: Float32[np.ndarray, "example feature"] | None,
    labels: Integer[np.ndarray, " example"] | None,
    attributes: Attributes | None,
) -> Iterator[Integer[np.ndarray, " train_example"]]:
    if isinstance(spec, Labels) and attributes is not None:
        yield from _by_attributes(attributes_of(attributes, TRAIN)[train], spec)
    elif isinstance(spec, Labels):
        assert labels is not None  # noqa: S101 (the caller's, not the user's)
        yield labels[train]
    elif isinstance(spec, Random):
        _enough(spec.clusters, int(train.sum()))
        for number in range(spec.partitions):
            yield np.random.default_rng([spec.seed, number]).integers(spec.clusters, size=train.sum())
    else:
        assert features is not None  # noqa: S101
        fitted = features[train]
        if isinstance(spec, Clusters):
            yield from _clusters(fitted, spec)
        elif isinstance(spec, Hyperplanes):
            yield from _zones(fitted, spec)


def _by_attributes(
    values: Bool[np.ndarray, "example attribute"], spec: Labels
) -> Iterator[Integer[np.ndarray, " example"]]:
    found = contrasts(values, spec.members)
    if not found:
        raise InputError(
            f"members: no three attributes part {spec.members} training examples from {spec.members} others; give fewer"
        )
    chosen = np.random.default_rng(spec.seed).permutation(len(found))[: spec.partitions]
    yield from (sides(values, found[number]) for number in chosen)


def _clusters(x: Float32[np.ndarray, "example feature"], spec: Clusters) -> Iterator[Assignment]:
    _enough(spec.clusters, len(x))
    cluster = _faiss(spec) if spec.library == "faiss" else _scikit_learn(spec)
    for number in range(spec.partitions):
        rng = np.random.default_rng([spec.seed, number])
        # A random diagonal metric; the first partition has that of the embedding.
        scaled = x if number == 0 else x * rng.random(x.shape[1], dtype=np.float32)
        for _ in range(spec.attempts):
            assigned = cluster(scaled, int(rng.integers(2**31 - 1)))
            share = (np.bincount(assigned, minlength=spec.clusters) >= spec.members).mean()
            if share >= spec.accepted:
                break
        else:
            raise InputError(
                f"clusters: of {spec.clusters} clusters of {len(x)} examples only {share:.0%} have {spec.members} "
                f"members, accepted is {spec.accepted:.0%}; give fewer clusters or members"
            )
        yield assigned


def _scikit_learn(spec: Clusters) -> Callable[[np.ndarray, int], Assignment]:
    def cluster(x: np.ndarray, seed: int) -> np.ndarray:
        model = KMeans(spec.clusters, n_init=spec.restarts, max_iter=ITERATIONS, random_state=seed)
        return np.asarray(model.fit(x).labels_)

    return cluster


def _faiss(spec: Clusters) -> Callable[[np.ndarray, int], Assignment]:
    try:
        faiss: Any = import_module("faiss")
    except ImportError as error:
        raise InputError("library: faiss is not installed; install faiss-cpu or choose scikit-learn") from error

    def cluster(x: np.ndarray, seed: int) -> np.ndarray:
        model = faiss.Kmeans(
            x.shape[1], spec.clusters, niter=100, nredo=spec.restarts, seed=seed, max_points_per_centroid=len(x)
        )
        model.train(np.ascontiguousarray(x))
        return np.asarray(model.index.search(np.ascontiguousarray(x), 1)[1][:, 0], np.int32)

    return cluster


def _zones(x: Float32[np.ndarray, "example feature"], spec: Hyperplanes) -> Iterator[Assignment]:
    """Which side of each of some planes an example is on, as the digits of a binary number."""
    rng = np.random.default_rng(spec.seed)
    distances = _planes(x, spec, rng)
    planes = ceil(log2(spec.way))
    if len(distances) < planes:
        raise InputError(
            f"margin: only {len(distances)} of {spec.candidates} planes have {spec.side * spec.members} examples "
            f"beyond a margin of {spec.margin} on either side, {planes} are needed for {spec.way} zones; give less"
        )
    yield from islice(_large_zones(distances, planes, spec, rng), spec.partitions)


def _large_zones(
    distances: Float[np.ndarray, "plane example"], planes: int, spec: Hyperplanes, rng: np.random.Generator
) -> Iterator[Assignment]:
    while True:
        for _ in range(spec.attempts):
            chosen = distances[rng.choice(len(distances), planes, replace=False)]
            zone = 2 ** np.arange(planes) @ (chosen > 0)
            zone[(np.abs(chosen) < spec.margin).any(0)] = NONE
            kept = without_small(zone, spec.members)
            if len(np.unique(kept[kept >= 0])) >= spec.way:
                break
        else:
            raise InputError(
                f"way: no {spec.way} zones of {spec.members} members in {spec.attempts} draws of {planes} planes; "
                "give less"
            )
        yield kept


def _planes(
    x: Float32[np.ndarray, "example feature"], spec: Hyperplanes, rng: np.random.Generator
) -> Float[np.ndarray, "plane example"]:
    """Signed distances to those candidates that have enough examples beyond the margin on either side."""
    width = x.shape[1]
    normals = rng.uniform(-1, 1, (spec.candidates, width))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    through = rng.uniform(-spec.offset, spec.offset, (spec.candidates, width))
    distances = (normals @ x.T - (normals * through).sum(1, keepdims=True)).astype(np.float32)
    enough = spec.side * spec.members
    both = ((distances >= spec.margin).sum(1) >= enough) & ((distances <= -spec.margin).sum(1) >= enough)
    return distances[both]


def _enough(clusters: int, examples: int) -> None:
    if clusters > examples:
        raise InputError(f"clusters: {clusters} are more than the {examples} training examples; give fewer")
