"""What a neuron knows of itself besides its activity: statistics of its weights, and which unit it is."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def weight_statistics(W: Float[Array, "below above"], axis: int) -> Float[Array, "4 unit"]:
    """Mean magnitude, root mean square, mean and standard deviation of each unit's weights along `axis`."""
    mean = W.mean(axis)
    return jnp.stack(
        [
            jnp.abs(W).mean(axis),
            jnp.sqrt((W**2).mean(axis) + 1e-6),
            mean,
            jnp.sqrt(((W - jnp.expand_dims(mean, axis)) ** 2).mean(axis) + 1e-8),
        ]
    )


def layer_statistics(
    below: Float[Array, "fan_in unit"] | None, above: Float[Array, "unit fan_out"] | None
) -> Float[Array, "8 unit"]:
    """Statistics of incoming, then of outgoing weights, as one block of unit root mean square.

    The top and the input layer have only one kind of weights; its four statistics are repeated.
    """
    kinds = [weight_statistics(below, 0)] if below is not None else []
    kinds += [weight_statistics(above, 1)] if above is not None else []
    block = jnp.concatenate(kinds if len(kinds) == 2 else kinds * 2)
    return block * jax.lax.rsqrt((block**2).mean() + 1e-6)


def unit_identity(units: int) -> Float[Array, "2 unit"]:
    """Sine and cosine of each unit's place in its layer, from 0 to 4 pi, the endpoint included."""
    angle = jnp.linspace(0.0, 4.0 * jnp.pi, units)
    return jnp.stack([jnp.sin(angle), jnp.cos(angle)])
