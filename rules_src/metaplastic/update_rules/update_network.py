"""Parts of update networks: affine maps over channels, batch norm, and what a neuron knows of itself.

Tensors are laid out as [channel, batch, unit].
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


class Affine(NamedTuple):
    """An affine map of channels, shared by all examples and units."""

    weight: Float[Array, "out_channels in_channels"]
    bias: Float[Array, " out_channels"]

    def __call__(self, a: Float[Array, "in_channels *rest"]) -> Float[Array, "out_channels *rest"]:
        """Map the leading axis."""
        return linear(self.weight, a) + self.bias.reshape(-1, *(1,) * (a.ndim - 1))


def initial_affine(key: PRNGKeyArray, in_channels: int, out_channels: int) -> Affine:
    """Draw truncated normal weights of variance 1/in_channels; set the bias to zero."""
    scale = in_channels**-0.5
    weight = scale * jax.random.truncated_normal(key, -2.0, 2.0, (out_channels, in_channels))
    return Affine(weight, jnp.zeros(out_channels))


def linear(
    weight: Float[Array, "out_channels in_channels"], a: Float[Array, "in_channels *rest"]
) -> Float[Array, "out_channels *rest"]:
    """Map the leading axis by a matrix."""
    return (weight @ a.reshape(len(a), -1)).reshape(-1, *a.shape[1:])


def normalise(a: Float[Array, "channel *rest"], axes: Sequence[int] = (1, 2)) -> Float[Array, "channel *rest"]:
    """Apply batch norm without scale: zero mean and unit variance over `axes`, by the statistics of `a` itself.

    Statistics are taken in float32 if `a` has a lower precision.
    """
    given, a = a.dtype, a.astype(jnp.promote_types(a.dtype, jnp.float32))
    mean = a.mean(axes, keepdims=True)
    scale = jax.lax.rsqrt(((a - mean) ** 2).mean(axes, keepdims=True) + 1e-3)
    # Not `(a - mean) * scale`: a compiler would share that difference with the variance and write it to memory.
    return (a * scale - mean * scale).astype(given)


def weight_statistics(W: Float[Array, "below above"], axis: int) -> Float[Array, "4 unit"]:
    """Return the mean magnitude, root mean square, mean and standard deviation of each unit's weights along `axis`."""
    mean = W.mean(axis)
    # The order of operations decides the last bit of gradients, here and in `terms.py`.
    magnitude, square = jnp.abs(W).mean(axis), jnp.sqrt((W**2).mean(axis) + 1e-6)
    return jnp.stack([magnitude, square, mean, jnp.sqrt(((W - jnp.expand_dims(mean, axis)) ** 2).mean(axis) + 1e-8)])


def layer_statistics(
    below: Float[Array, "fan_in unit"] | None, above: Float[Array, "unit fan_out"] | None
) -> Float[Array, "8 unit"]:
    """Return statistics of incoming, then of outgoing weights, scaled together to unit root mean square.

    The top and the input level have only one kind of weights; its four statistics are repeated.
    """
    kinds = [weight_statistics(W, axis) for axis, W in enumerate((below, above)) if W is not None]
    block = jnp.concatenate((2 * kinds)[:2])
    return block * jax.lax.rsqrt((block**2).mean() + 1e-6)


def unit_identity(units: int) -> Float[Array, "2 unit"]:
    """Return the sine and cosine of each unit's place in its layer, from 0 to 4 pi, the endpoint included."""
    angle = jnp.linspace(0.0, 4.0 * jnp.pi, units)
    return jnp.stack([jnp.sin(angle), jnp.cos(angle)])
