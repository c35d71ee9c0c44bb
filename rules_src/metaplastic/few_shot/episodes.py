"""N-way K-shot episodes: for pseudo-tasks drawn while a learner trains, and for evaluation.

Pseudo-tasks come from many partitions of the examples at once, evaluation episodes from one, the labels, or from those
that attributes make. Either way an episode follows from its key alone.
"""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Integer, Num, PRNGKeyArray

from metaplastic.datasets.arrays import Attributes
from metaplastic.datasets.schema import TEST, VALIDATION
from metaplastic.few_shot.attributes import attributes_of, contrasts, sides
from metaplastic.few_shot.spec import Episodes, Shape
from metaplastic.io.errors import InputError

SPLITS = {"test": TEST, "validation": VALIDATION}
"""That evaluation episodes may be of."""


class Episode(NamedTuple):
    """Indices of an episode's examples; the place along `way` is their class within the episode."""

    support: Int[Array, "*batch way shots"]
    query: Int[Array, "*batch way queries"]


class Pool(eqx.Module):
    """Members of every cluster of every partition, those of a cluster one after another."""

    order: Int[Array, "partition member"]
    """Indices of examples, cluster after cluster."""
    start: Int[Array, "partition cluster"]
    """Where in `order` a cluster begins."""
    count: Int[Array, "partition cluster"]
    """How many members it has; partitions of fewer clusters than others end with empty ones."""
    largest: int = eqx.field(static=True)
    """Members of the largest cluster."""


def pool(
    partitions: Integer[np.ndarray, "partition example"],
    eligible: Bool[np.ndarray, " example"],
    shape: Shape,
    *,
    place: str,
    what: str = "partition",
) -> Pool:
    """What episodes of `shape` are drawn from: the eligible examples of each cluster; label -1 is none.

    Raises:
        InputError: a partition has fewer clusters than the shape has ways, or a cluster fewer members than shots and
            queries together. `place` is the key that says the shape, `what` a partition is called.
    """
    orders, counts = [], []
    for number, labels in enumerate(partitions):
        where = what if len(partitions) == 1 else f"{what} {number}"
        chosen = np.flatnonzero(eligible & (labels >= 0))
        clusters, of_cluster = np.unique(labels[chosen], return_counts=True)
        if len(clusters) < shape.way:
            raise InputError(f"{place}.way: {shape.way} classes asked for, but {where} has {len(clusters)}")
        small = of_cluster.argmin()
        if of_cluster[small] < (needed := shape.shots + shape.queries):
            raise InputError(
                f"{place}: {shape.shots} shots and {shape.queries} queries take {needed} examples a class, but class "
                f"{clusters[small]} of {where} has {of_cluster[small]}"
            )
        orders.append(chosen[np.argsort(labels[chosen], kind="stable")])
        counts.append(of_cluster)
    count = _padded(counts)
    return Pool(
        jnp.asarray(_padded(orders)),
        jnp.asarray(np.cumsum(count, 1, dtype=np.int32) - count),
        jnp.asarray(count),
        int(count.max()),
    )


def true_pool(
    labels: Integer[np.ndarray, " example"],
    attributes: Attributes | None,
    split: Num[np.ndarray, " example"],
    spec: Episodes,
    way: int,
    shots: int,
) -> Pool:
    """What evaluation episodes are drawn from: one partition by labels, or many by attributes.

    Args:
        labels: true classes.
        attributes: what there is instead, if anything.
        split: codes of the schema.
        spec: split and queries.
        way: classes an episode.
        shots: labelled examples a class.

    Raises:
        InputError: the split has too few classes, a class of it too few examples, or no contrast enough of them.
    """
    shape, what = Shape(way=way, shots=shots, queries=spec.queries), f"split {spec.split}"
    code = SPLITS[spec.split]
    eligible = split == code
    if attributes is None:
        return pool(labels[None], eligible, shape, place="episodes", what=what)
    values, members = attributes_of(attributes, code), shots + spec.queries
    found = contrasts(values[eligible], members)
    if not found:
        raise InputError(
            f"episodes: no three attributes of {what} part {members} of its examples from {members} others"
        )
    partitions = np.stack([sides(values, contrast) for contrast in found])
    return pool(partitions, eligible, shape, place="episodes", what=f"{what}, attributes")


def draw(key: PRNGKeyArray, pool: Pool, shape: Shape) -> Episode:
    """One episode: a partition, `way` of its clusters, members of each; all uniformly, none twice (Hsu et al. 2019).

    The clusters come in random order, so that a class of an episode says nothing about its cluster.
    """
    key_partition, key_cluster, key_member = jax.random.split(key, 3)
    partition = jax.random.randint(key_partition, (), 0, len(pool.order))
    start, count = pool.start[partition], pool.count[partition]
    clusters = _without_replacement(key_cluster, count > 0, shape.way)

    def members(key: PRNGKeyArray, cluster: Int[Array, ""]) -> Int[Array, " member"]:
        places = _without_replacement(key, jnp.arange(pool.largest) < count[cluster], shape.shots + shape.queries)
        return pool.order[partition, start[cluster] + places]

    chosen = jax.vmap(members)(jax.random.split(key_member, shape.way), clusters)
    return Episode(chosen[:, : shape.shots], chosen[:, shape.shots :])


@partial(jax.jit, static_argnames=("count", "shape"))
def draw_many(key: PRNGKeyArray, pool: Pool, shape: Shape, count: int) -> Episode:
    """`count` episodes, the first of which are those of a smaller count."""
    return jax.vmap(lambda i: draw(jax.random.fold_in(key, i), pool, shape))(jnp.arange(count))


def _without_replacement(key: PRNGKeyArray, available: Bool[Array, " place"], number: int) -> Int[Array, "{number}"]:
    """Some of the available places, at least so many, in random order."""
    return jax.lax.top_k(jnp.where(available, jax.random.uniform(key, available.shape), -1.0), number)[1]


def _padded(rows: list[np.ndarray]) -> Int[np.ndarray, "row most"]:
    """Rows of integers, zeros after the shorter ones."""
    padded = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded
