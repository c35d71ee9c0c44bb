"""The network of few-shot learners: four blocks of convolution, batch norm and ReLU (Vinyals et al. 2016)."""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from metaplastic.embeddings.networks import Image, convolved

BLOCKS = 4
EPSILON = 1e-5
"""Added to the variance in batch norm."""


class Statistics(NamedTuple):
    """What the batch norm of one block divides by."""

    mean: Float[Array, " filter"]
    variance: Float[Array, " filter"]


class Network(eqx.Module):
    """Images to features.

    Of MAML blocks are `strided`, without scales of the batch norm, and features are means over positions; of ProtoNets
    they are `pooled`, and features are those of all positions.
    """

    kernels: tuple[Float[Array, "3 3 below above"], ...]
    scales: tuple[Float[Array, " above"], ...] | None
    shifts: tuple[Float[Array, " above"], ...]
    image: Image = eqx.field(static=True)
    blocks: Literal["strided", "pooled"] = eqx.field(static=True)

    def __init__(self, key: PRNGKeyArray, image: Image, filters: int, blocks: Literal["strided", "pooled"]) -> None:
        """Glorot's weights, on images of these rows, columns and channels."""
        glorot = jax.nn.initializers.glorot_uniform()
        channels = [image[2], *[filters] * BLOCKS]
        keys = jax.random.split(key, BLOCKS)
        pairs = zip(keys, channels[:-1], channels[1:], strict=True)
        self.kernels = tuple(glorot(key, (3, 3, below, above)) for key, below, above in pairs)
        self.scales = (jnp.ones(filters),) * BLOCKS if blocks == "pooled" else None
        self.shifts = (jnp.zeros(filters),) * BLOCKS
        self.image, self.blocks = image, blocks

    def features(
        self, inputs: Float[Array, "batch input"], known: tuple[Statistics, ...] | None = None
    ) -> tuple[Float[Array, "batch feature"], tuple[Statistics, ...]]:
        """Features of flattened images, and each block's statistics: `known` ones, by default those of the batch."""
        x, used = inputs.reshape(-1, *self.image), []
        for block, kernel in enumerate(self.kernels):
            x = convolved(x, kernel, stride=2 if self.blocks == "strided" else 1)
            statistics = known[block] if known else _statistics(x)
            gain = jax.lax.rsqrt(statistics.variance + EPSILON)
            gain = gain if self.scales is None else gain * self.scales[block]
            # What comes after is monotone in every filter, so that a quarter of it suffices.
            x = x if self.blocks == "strided" else _pooled(x, gain > 0)
            mean, gain, shift = (_each(len(x), value) for value in (statistics.mean, gain, self.shifts[block]))
            x = jax.nn.relu((x - mean) * gain + shift)
            used.append(statistics)
        features = x.mean((1, 2)) if self.blocks == "strided" else x.reshape(len(x), -1)
        return features, tuple(used)


def _statistics(x: Float[Array, "batch row column filter"]) -> Statistics:
    # Image by image: XLA on CPU sums over everything in an order that depends on the number of threads.
    mean = x.mean((1, 2)).mean(0)
    return Statistics(mean, ((x - _each(len(x), mean)) ** 2).mean((1, 2)).mean(0))


def _each(batch: int, value: Float[Array, " filter"]) -> Float[Array, "batch 1 1 filter"]:
    """The same for every image; its gradient is a sum image by image, which XLA would merge without the barrier."""
    each = jnp.broadcast_to(value, (batch, 1, 1, len(value)))
    return jax.lax.optimization_barrier(each)  # type: ignore[no-untyped-call]


def _pooled(
    x: Float[Array, "batch row column filter"], rising: Bool[Array, " filter"]
) -> Float[Array, "batch _row _column filter"]:
    """Maxima of 2x2 positions, of filters that are not `rising` minima; a last odd row or column is dropped."""
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    x = x[:, : 2 * rows, : 2 * columns].reshape(len(x), rows, 2, columns, 2, -1)
    x = _extreme(x[:, :, 0], x[:, :, 1], rising)
    return _extreme(x[:, :, :, 0], x[:, :, :, 1], rising)


def _extreme(
    a: Float[Array, "*shape filter"], b: Float[Array, "*shape filter"], rising: Bool[Array, " filter"]
) -> Float[Array, "*shape filter"]:
    # The derivative of a maximum looks for it among its operands, perhaps computed anew, and divides by how many it
    # finds: where rounding has changed them, by zero. A comparison is remembered.
    return jnp.where((a > b) == rising, a, b)
