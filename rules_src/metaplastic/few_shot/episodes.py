"""Sampling N-way K-shot episodes, both as pseudo-tasks that train a learner and for evaluation.

Pseudo-tasks come from many partitions of the examples, evaluation episodes from the labels or from partitions by
attributes. The key alone determines an episode.
"""

from functools import partial
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Integer, Num, PRNGKeyArray

from metaplastic.datasets.arrays import Attributes
from metaplastic.datasets.schema import TEST, VALIDATION
from metaplastic.few_shot.attributes import contrasts, sides
from metaplastic.few_shot.spec import Shape
from metaplastic.io.errors import InputError

NUMBERS = 2**26
"""Random numbers that are drawn at once."""


class Episode(NamedTuple):
    """Indices of an episode's examples; the place along `way` is their class within the episode."""

    support: Int[Array, "*batch way shots"]
    query: Int[Array, "*batch way queries"]


class Pool(eqx.Module):
    """The members of every cluster of every partition."""

    order: Int[Array, "partition member"]
    """Indices of examples, cluster after cluster."""
    start: Int[Array, "partition cluster"]
    """First place of a cluster in `order`."""
    count: Int[Array, "partition cluster"]
    """Members of each cluster; partitions of fewer clusters than others end with empty ones."""
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
    """Collect the eligible examples of each cluster for episodes of `shape`; label -1 belongs to no cluster.

    Raises InputError if a partition has fewer clusters than the shape has ways, or a cluster fewer members than shots
    and queries together. The message names the config key `place` of the shape, and calls a partition `what`.
    """
    orders, counts = [], []
    for number, labels in enumerate(partitions):
        where = what if len(partitions) == 1 else f"{what} {number}"
        chosen = np.flatnonzero(eligible & (labels >= 0))
        clusters, members = np.unique(labels[chosen], return_counts=True)
        if len(clusters) < shape.way:
            raise InputError(f"{place}.way: {shape.way} classes asked for, but {where} has {len(clusters)}")
        small = members.argmin()
        if members[small] < shape.members:
            raise InputError(
                f"{place}: {shape.shots} shots and {shape.queries} queries take {shape.members} examples a class, but "
                f"class {clusters[small]} of {where} has {members[small]}"
            )
        orders.append(chosen[np.argsort(labels[chosen], kind="stable")])
        counts.append(members)
    count = _padded(counts)
    start = np.cumsum(count, 1, dtype=np.int32) - count
    return Pool(jnp.asarray(_padded(orders)), jnp.asarray(start), jnp.asarray(count), int(count.max()))


def true_pool(
    labels: Integer[np.ndarray, " example"],
    attributes: Attributes | None,
    split: Num[np.ndarray, " example"],
    drawn_from: Literal["test", "validation"],
    shape: Shape,
) -> Pool:
    """Collect the examples that evaluation episodes show: one partition by labels, or many by attributes if given.

    Raises InputError if the split has too few classes, a class of it too few examples, or no contrast enough of them.
    """
    what, code = f"split {drawn_from}", {"test": TEST, "validation": VALIDATION}[drawn_from]
    if attributes is None:
        return pool(labels[None], split == code, shape, place="episodes", what=what)
    values, least = attributes.values[:, attributes.split == code], shape.members
    divided = [sides(values, contrast) for contrast in contrasts(values[split == code], least)]
    if not divided:
        raise InputError(f"episodes: no three attributes of {what} part {least} of its examples from {least} others")
    return pool(np.stack(divided), split == code, shape, place="episodes", what=f"{what}, attributes")


def draw(key: PRNGKeyArray, pool: Pool, shape: Shape) -> Episode:
    """Draw a partition, `way` of its clusters, and members of each; all uniformly, none twice (Hsu et al. 2019).

    The clusters come in random order, so that a class of an episode says nothing about its cluster.
    """
    key_partition, key_cluster, key_member = jax.random.split(key, 3)
    partition = jax.random.randint(key_partition, (), 0, len(pool.order))
    start, count = pool.start[partition], pool.count[partition]
    clusters = _without_replacement(key_cluster, count > 0, shape.way)

    def members(key: PRNGKeyArray, cluster: Int[Array, ""]) -> Int[Array, " member"]:
        places = _without_replacement(key, jnp.arange(pool.largest) < count[cluster], shape.members)
        return pool.order[partition, start[cluster] + places]

    chosen = jax.vmap(members)(jax.random.split(key_member, shape.way), clusters)
    return Episode(chosen[:, : shape.shots], chosen[:, shape.shots :])


@partial(jax.jit, static_argnames=("count", "shape"))
def draw_many(key: PRNGKeyArray, pool: Pool, shape: Shape, count: int) -> Episode:
    """Draw `count` episodes, with at most `NUMBERS` at once; a larger count begins with the same episodes."""
    at_once = max(1, min(count, NUMBERS // (shape.way * pool.largest)))
    return jax.lax.map(lambda i: draw(jax.random.fold_in(key, i), pool, shape), jnp.arange(count), batch_size=at_once)


def _without_replacement(key: PRNGKeyArray, available: Bool[Array, " place"], number: int) -> Int[Array, "{number}"]:
    return jax.lax.top_k(jnp.where(available, jax.random.uniform(key, available.shape), -1.0), number)[1]


def _padded(rows: list[np.ndarray]) -> Int[np.ndarray, "row most"]:
    most = max(map(len, rows))
    return np.array([np.pad(row, (0, most - len(row))) for row in rows], np.int32)
