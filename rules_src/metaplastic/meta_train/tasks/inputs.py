"""How a task shows inputs of any kind: in its own order, some dropped, each with its own gain, noise and offset."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.meta_train.tasks.source import Variety


def varied(
    key: PRNGKeyArray, task: PRNGKeyArray, x: Float[Array, "example input"], variety: Variety
) -> Float[Array, "example input"]:
    """Permute and vary the inputs; `key` draws the noise, `task` all that the examples share."""
    inputs = x.shape[1]
    order, gain, dropped, kept, noise, offset, scale = jax.random.split(task, 7)
    x = x[:, jax.random.permutation(order, inputs)]
    if variety.noise:
        x = x + variety.noise * jax.random.uniform(noise) * jax.random.normal(key, x.shape)
    if variety.gain:
        x = x * jnp.exp(variety.gain * jax.random.normal(gain, (inputs,)))
    if variety.offset:
        key_size, key_offset = jax.random.split(offset)
        x = x + variety.offset * jax.random.uniform(key_size) * jax.random.normal(key_offset, (inputs,))
    if variety.scale:
        x = x * jnp.exp(jax.random.uniform(scale, minval=-variety.scale, maxval=variety.scale))
    if variety.dropped:
        x = x * (jax.random.uniform(kept, (inputs,)) >= variety.dropped * jax.random.uniform(dropped))
    return x
