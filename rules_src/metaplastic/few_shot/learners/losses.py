"""Loss and accuracy of scores, where the first axis is the true class."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def cross_entropy(scores: Float[Array, "way example class_"]) -> Float[Array, "way example"]:
    """Of each example's softmax with its class."""
    true = jnp.arange(len(scores))[:, None, None]
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), true, axis=2)[..., 0]


def accuracy(scores: Float[Array, "way example class_"]) -> Float[Array, ""]:
    """Share of examples whose own class has the largest score."""
    return (scores.argmax(2) == jnp.arange(len(scores))[:, None]).mean()
