"""Prototypical networks (Snell et al. 2017), as in CACTUs (Hsu et al. 2019, Table 6)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.few_shot.learners.base import (
    Outcome,
    Query,
    Scores,
    Support,
    Trainable,
    accuracy,
    cross_entropy,
    nearness,
)
from metaplastic.few_shot.learners.networks import BLOCKS, Network, Statistics, check_poolable
from metaplastic.few_shot.spec import ProtoNets

MOMENTUM = 0.1
"""Weight of a step's statistics in the running ones."""


class PrototypicalNetwork(Trainable):
    """A query example belongs to the class with the nearest prototype, the mean of the class's support features."""

    network: Network
    running: tuple[Statistics, ...]
    """Running statistics of the batch norm for evaluation, so that no query depends on another one."""

    def outcome(self, support: Support, query: Query) -> Outcome:
        """Return loss and accuracy with the batch norm of all the task's images."""
        way, shots, _ = support.shape
        images = jnp.concatenate([support.reshape(way * shots, -1), query.reshape(way * query.shape[1], -1)])
        features, seen = self.network.features(images)
        scores = _scores(features[: way * shots].reshape(way, shots, -1), features[way * shots :])
        return Outcome(cross_entropy(scores).mean(), accuracy(scores), seen)

    def settled(self, seen: tuple[Statistics, ...]) -> "PrototypicalNetwork":
        """Move the running statistics towards those of the step."""
        running = jax.tree.map(lambda old, new: old + MOMENTUM * (new - old), self.running, seen)
        return PrototypicalNetwork(self.network, running)

    def scores(self, support: Support, query: Query) -> Scores:
        """Return minus squared distances to the prototypes, up to a constant of each query example."""
        way, shots, _ = support.shape
        prototyped = self.features(support.reshape(way * shots, -1))
        queried = self.features(query.reshape(way * query.shape[1], -1))
        return _scores(prototyped.reshape(way, shots, -1), queried)

    def features(self, images: Float[Array, "image input"]) -> Float[Array, "image feature"]:
        """Return features by the running statistics of the batch norm, each image's on its own."""
        return self.network.features(images, self.running)[0]


def _scores(support: Float[Array, "way shots feature"], query: Float[Array, "query feature"]) -> Scores:
    prototypes = support.mean(1)
    return nearness(query, prototypes).reshape(len(support), -1, len(support))


def initial(spec: ProtoNets, key: PRNGKeyArray, image: tuple[int, int, int]) -> PrototypicalNetwork:
    """Return the learner before the first step; raise InputError if pooling leaves nothing of images this small."""
    check_poolable(image, spec.smallest)
    network = Network(key, image, spec.filters, "pool", scaled=True)
    nothing = Statistics(jnp.zeros(spec.filters), jnp.ones(spec.filters))
    return PrototypicalNetwork(network, (nothing,) * BLOCKS)
