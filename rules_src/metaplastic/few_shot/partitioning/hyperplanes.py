"""Zones between random hyperplanes through an embedding (Hsu et al. 2019)."""

from collections.abc import Iterator
from math import ceil, log2

import numpy as np
from jaxtyping import Float32

from metaplastic.few_shot.partitioning.base import NONE, Assignment, Examples, Features, without_small
from metaplastic.few_shot.spec import Hyperplanes
from metaplastic.io.errors import InputError


def assignments(spec: Hyperplanes, examples: Examples) -> Iterator[Assignment]:
    """Generate zones: the sides of some planes that an example is on, as the digits of a binary number."""
    x, rng, planes = examples.features, np.random.default_rng(spec.seed), ceil(log2(spec.way))
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
