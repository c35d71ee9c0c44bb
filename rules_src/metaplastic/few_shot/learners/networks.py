"""The network of few-shot learners: four blocks of convolution, batch norm and ReLU (Vinyals et al. 2016)."""

from math import prod
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from metaplastic.config.base import Downsample
from metaplastic.embeddings.networks import Image, convolved
from metaplastic.io.errors import InputError

BLOCKS = 4
EPSILON = 1e-5
"""Added to the variance in batch norm."""


class Statistics(NamedTuple):
    """Statistics of the batch norm of one block."""

    mean: Float[Array, " filter"]
    variance: Float[Array, " filter"]


class Network(eqx.Module):
    """A network from images to features.

    Features are means over positions if blocks `stride`, and those of all positions if they `pool`.
    ProtoNets take pooled blocks whose batch norm has scales, MAML takes either without.
    """

    kernels: tuple[Float[Array, "3 3 below above"], ...]
    scales: tuple[Float[Array, " above"], ...] | None
    shifts: tuple[Float[Array, " above"], ...]
    image: Image = eqx.field(static=True)
    blocks: Downsample = eqx.field(static=True)

    def __init__(self, key: PRNGKeyArray, image: Image, filters: int, blocks: Downsample, *, scaled: bool) -> None:
        glorot, keys = jax.nn.initializers.glorot_uniform(), jax.random.split(key, BLOCKS)
        sizes = [(3, 3, below, filters) for below in (image[2], *[filters] * (BLOCKS - 1))]
        self.kernels = tuple(glorot(of, size) for of, size in zip(keys, sizes, strict=True))
        self.scales = (jnp.ones(filters),) * BLOCKS if scaled else None
        self.shifts = (jnp.zeros(filters),) * BLOCKS
        self.image, self.blocks = image, blocks

    @property
    def width(self) -> int:
        """Return the number of features."""
        positions = 1 if self.blocks == "stride" else prod(side // 2**BLOCKS for side in self.image[:2])
        return len(self.shifts[0]) * positions

    def features(
        self,
        inputs: Float[Array, "batch input"],
        known: tuple[Statistics, ...] | None = None,
        shares: Float[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch feature"], tuple[Statistics, ...]]:
        """Return features of flattened images, and each block's statistics.

        They are `known` or those of the batch, in which images have equal `shares` by default.
        """
        x, used = inputs.reshape(-1, *self.image), []
        for block, kernel in enumerate(self.kernels):
            x = convolved(x, kernel, stride=2 if self.blocks == "stride" else 1)
            statistics = known[block] if known else _statistics(x, shares)
            gain = jax.lax.rsqrt(statistics.variance + EPSILON)
            gain = gain if self.scales is None else gain * self.scales[block]
            # The rest of the block is monotone in every filter, so pooling first saves three quarters of it.
            x = x if self.blocks == "stride" else _pooled(x, gain > 0)
            mean, gain, shift = (_each(len(x), value) for value in (statistics.mean, gain, self.shifts[block]))
            x = jax.nn.relu((x - mean) * gain + shift)
            used.append(statistics)
        features = x.mean((1, 2)) if self.blocks == "stride" else x.reshape(len(x), -1)
        return features, tuple(used)


def _statistics(x: Float[Array, "batch row column filter"], shares: Float[Array, " batch"] | None) -> Statistics:
    # Image by image, since XLA on CPU sums over everything in an order that depends on the number of threads.
    def mean(x: Float[Array, "batch row column filter"]) -> Float[Array, " filter"]:
        of_each = x.mean((1, 2))
        return of_each.mean(0) if shares is None else shares @ of_each

    centre = mean(x)
    return Statistics(centre, mean((x - _each(len(x), centre)) ** 2))


def _each(batch: int, value: Float[Array, " filter"]) -> Float[Array, "batch 1 1 filter"]:
    """Repeat a value for every image; without the barrier XLA would merge the gradient's sum over the images."""
    each = jnp.broadcast_to(value, (batch, 1, 1, len(value)))
    return jax.lax.optimization_barrier(each)  # type: ignore[no-untyped-call]


def _pooled(
    x: Float[Array, "batch row column filter"], rising: Bool[Array, " filter"]
) -> Float[Array, "batch _row _column filter"]:
    """Take maxima of 2x2 positions, or minima where filters are not `rising`; drop a last odd row or column."""
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    x = x[:, : 2 * rows, : 2 * columns].reshape(len(x), rows, 2, columns, 2, -1)
    x = _extreme(x[:, :, 0], x[:, :, 1], rising)
    return _extreme(x[:, :, :, 0], x[:, :, :, 1], rising)


def _extreme(a: Array, b: Array, rising: Bool[Array, " filter"]) -> Array:
    # A maximum's derivative searches the operands, which XLA may compute anew, and divides by the number of matches:
    # zero if rounding has changed them. The result of a comparison is kept.
    return jnp.where((a > b) == rising, a, b)


def check_poolable(image: Image, smallest: int) -> None:
    """Raise InputError if pooling in every block would leave nothing of an image this small."""
    if min(image[:2]) < smallest:
        raise InputError(
            f"images of {image[0]} x {image[1]} pixels: pooling halves them {BLOCKS} times; give at least "
            f"{smallest} x {smallest}"
        )
