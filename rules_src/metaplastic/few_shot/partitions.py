"""From features to label vectors: the clusters that pseudo-tasks take for classes (Hsu et al. 2019, Algorithm 1)."""

from collections.abc import Iterator
from importlib import import_module
from math import ceil, log2
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32, Integer
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from metaplastic.datasets.arrays import Attributes
from metaplastic.datasets.schema import TRAIN
from metaplastic.few_shot.attributes import contrasts, sides
from metaplastic.few_shot.spec import Clusters, Hyperplanes, Labels, Neighbourhoods, Partition, Random
from metaplastic.io.errors import InputError

NONE = -1
"""Label of examples in no cluster."""
NEAREST = 4
"""Neighbours that an example of a neighbourhood chooses from, in multiples of its members."""

Features = Float32[np.ndarray, "example feature"]
Assignment = Int32[np.ndarray, " example"]
AnyAssignment = Integer[np.ndarray, " example"]


def partitions(
    spec: Partition,
    train: Bool[np.ndarray, " example"],
    *,
    features: Features | None = None,
    labels: AnyAssignment | None = None,
    attributes: Attributes | None = None,
) -> Iterator[Assignment]:
    """Generate label vectors one by one; examples in no cluster or outside the training split have label -1.

    Clusters of fewer than `spec.members` are dropped. More partitions of one seed begin with the same partitions.
    `features` of all examples are for kinds that partition them, true `labels` for the oracle only, with `attributes`
    in their place if the dataset has them.

    Raises:
        InputError: more clusters than examples, attributes that part too few of them, features that are not finite,
            k-means without enough large clusters, no planes with enough examples on either side, or no faiss.
    """
    if features is not None and not np.isfinite(features).all():
        raise InputError("features that are not finite; their embedding may have diverged")
    found: Iterator[AnyAssignment]
    if isinstance(spec, Clusters | Random) and spec.clusters > train.sum():
        raise InputError(f"clusters: {spec.clusters} are more than the {train.sum()} training examples; give fewer")
    if isinstance(spec, Labels) and attributes is not None:
        values = attributes.values[train][:, attributes.split == TRAIN]
        possible = contrasts(values, spec.members)
        if not possible:
            n = spec.members
            raise InputError(f"members: no three attributes part {n} training examples from {n} others; give fewer")
        chosen = np.random.default_rng(spec.seed).permutation(len(possible))[: spec.partitions]
        found = (sides(values, possible[number]) for number in chosen)
    elif isinstance(spec, Labels):
        assert labels is not None  # noqa: S101 (the caller's, not the user's)
        found = iter([labels[train]])
    elif isinstance(spec, Random):
        rngs = (np.random.default_rng([spec.seed, number]) for number in range(spec.partitions))
        found = (rng.integers(spec.clusters, size=train.sum()) for rng in rngs)
    else:
        assert features is not None  # noqa: S101
        of_features: Any = {Clusters: _clusters, Neighbourhoods: _neighbourhoods, Hyperplanes: _zones}[type(spec)]
        found = of_features(features[train], spec)
    for clusters in found:
        everywhere = np.full(len(train), NONE, np.int32)
        everywhere[train] = without_small(clusters, spec.members)
        yield everywhere


def number_of_partitions(spec: Partition, attributes: Attributes | None = None) -> int:
    """Return the number of partitions; from attributes, the most there can be."""
    return 1 if spec.true_labels and attributes is None else spec.partitions


def without_small(clusters: AnyAssignment, members: int) -> Assignment:
    """Set clusters of fewer than `members` to -1; the others keep their numbers."""
    counts = np.bincount(clusters[clusters >= 0], minlength=1)
    large = (clusters >= 0) & (counts[clusters] >= members)
    return np.where(large, clusters, NONE).astype(np.int32)


def _clusters(x: Features, spec: Clusters) -> Iterator[Assignment]:
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


def _neighbourhoods(x: Features, spec: Neighbourhoods) -> Iterator[Assignment]:
    """Generate classes of neighbours: examples in random order each take the nearest ones that none has taken."""
    size = min(NEAREST * spec.members, len(x))
    nearest = NearestNeighbors(n_neighbors=size).fit(x).kneighbors(x, return_distance=False)
    for number in range(spec.partitions):
        classes, taken = np.full(len(x), NONE, np.int32), 0
        for example in np.random.default_rng([spec.seed, number]).permutation(len(x)):
            free = nearest[example, classes[nearest[example]] == NONE][: spec.members]
            if classes[example] == NONE and len(free) == spec.members:
                classes[free], taken = taken, taken + 1
        yield classes


def _zones(x: Features, spec: Hyperplanes) -> Iterator[Assignment]:
    """Generate zones: the sides of some planes that an example is on, as the digits of a binary number."""
    rng, planes = np.random.default_rng(spec.seed), ceil(log2(spec.way))
    drawn = (_distances(rng, x, spec) for _ in range(spec.attempts))
    distances = np.zeros((0, len(x)), np.float32)
    while len(distances) < spec.candidates and (more := next(drawn, None)) is not None:
        distances = np.concatenate([distances, more])[: spec.candidates]
    if len(distances) < planes:
        tried, enough = spec.attempts * spec.candidates, spec.side * spec.members
        raise InputError(
            f"margin: only {len(distances)} of {tried} planes have {enough} examples beyond a margin of {spec.margin} "
            f"on either side, {planes} are needed for {spec.way} zones; give less"
        )
    for _ in range(spec.partitions):
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


def _distances(rng: np.random.Generator, x: Features, spec: Hyperplanes) -> Float32[np.ndarray, "plane example"]:
    """Draw planes, and return the signed distances to those with enough examples on either side."""
    normals = rng.uniform(-1, 1, (spec.candidates, x.shape[1]))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    through = rng.uniform(-spec.offset, spec.offset, normals.shape)
    distances = (normals @ x.T - (normals * through).sum(1, keepdims=True)).astype(np.float32)
    sides = (distances >= spec.margin).sum(1), (distances <= -spec.margin).sum(1)
    return distances[np.minimum(*sides) >= spec.side * spec.members]
