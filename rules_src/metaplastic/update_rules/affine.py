"""Affine maps over channels and normalisation, on tensors laid out as [channel, batch, unit]."""

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
    """Truncated normal weights of variance 1/in_channels, zero bias."""
    scale = in_channels**-0.5
    weight = scale * jax.random.truncated_normal(key, -2.0, 2.0, (out_channels, in_channels))
    return Affine(weight, jnp.zeros(out_channels))


def linear(
    weight: Float[Array, "out_channels in_channels"], a: Float[Array, "in_channels *rest"]
) -> Float[Array, "out_channels *rest"]:
    """Map the leading axis by a matrix."""
    return (weight @ a.reshape(len(a), -1)).reshape(-1, *a.shape[1:])


def normalise(
    a: Float[Array, "channel *rest"], axes: Sequence[int] = (1, 2), eps: float = 1e-3
) -> Float[Array, "channel *rest"]:
    """Batch norm without scale: zero mean and unit variance over `axes`, by the statistics of `a` itself.

    Statistics are taken in float32 where `a` has less.
    """
    given, a = a.dtype, a.astype(jnp.promote_types(a.dtype, jnp.float32))
    mean = a.mean(axes, keepdims=True)
    scale = jax.lax.rsqrt(((a - mean) ** 2).mean(axes, keepdims=True) + eps)
    # Not `(a - mean) * scale`: a compiler would share that difference with the variance and write it to memory.
    return (a * scale - mean * scale).astype(given)
