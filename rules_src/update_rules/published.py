"""The rule of Metz et al. 2019: a per-neuron network of convolutions over the order of examples and of units.

Where the paper leaves a detail open, recorded numbers of the released code decide (see the stage `replay`).
"""

from collections.abc import Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rules_src.config.rules import Published
from rules_src.update_rules.affine import initial_affine, normalise
from rules_src.update_rules.learned import Error, Hidden, LearnedRule, WeightReadouts
from rules_src.update_rules.neuron_inputs import unit_identity
from rules_src.update_rules.weight_change import LOWER_READOUTS, TERMS, UPPER_READOUTS, Mix

OVER_BATCH, OVER_UNITS = 1, 2
"""Axes that convolutions run along."""

INPUTS = 4
"""Normalised inputs of a unit besides its error signal: x, z, and the sine and cosine of its place."""
UNIT_INPUTS = 9
"""Inputs of a unit that are not normalised: weight statistics (8) and bias (1)."""
COEFFICIENT = 0.1
"""Initial coefficient of each term."""


class Convolution(NamedTuple):
    """A convolution with zero padding, as wide on both sides."""

    kernel: Float[Array, "width in_channels out_channels"]
    bias: Float[Array, " out_channels"]

    def __call__(self, a: Float[Array, "in_channels batch unit"], axis: int) -> Float[Array, "out_channels batch unit"]:
        """Cross-correlate along `axis`: one matrix product with shifted copies of `a`."""
        width, length = len(self.kernel), a.shape[axis]
        padding = [(width // 2, width // 2) if i == axis else (0, 0) for i in range(3)]
        padded = jnp.pad(a, padding)
        shifted = jnp.stack([jax.lax.slice_in_dim(padded, i, i + length, axis=axis) for i in range(width)])
        return jnp.einsum("kio,kibu->obu", self.kernel, shifted) + self.bias[:, None, None]


class NormalisedConvolution(NamedTuple):
    """Convolution, batch norm with a learned offset and no scale, ReLU."""

    convolution: Convolution
    offset: Float[Array, " out_channels"]

    def __call__(self, a: Float[Array, "in_channels batch unit"], axis: int) -> Float[Array, "out_channels batch unit"]:
        """Apply the three along `axis`."""
        return jax.nn.relu(normalise(self.convolution(a, axis)) + self.offset[:, None, None])


class TopError(NamedTuple):
    """The error signal at the top. Its middle part takes units for channels: theta fixes the number of features."""

    expand: NormalisedConvolution
    across_units: tuple[NormalisedConvolution, ...]
    refine: tuple[NormalisedConvolution, ...]
    reduce: Convolution

    def __call__(self, features: Float[Array, "batch unit"]) -> Error:
        """Error signal [error channel, batch, unit]."""
        a = self.expand(features[None], OVER_BATCH)
        a = a.swapaxes(0, 2)
        for convolution in self.across_units:
            a = convolution(a, OVER_BATCH)
        a = a.swapaxes(0, 2)
        for convolution in self.refine:
            a = convolution(a, OVER_BATCH)
        return self.reduce(a, OVER_BATCH)


class Block(NamedTuple):
    """A convolution over the batch and a residual pair of convolutions over units."""

    over_batch: NormalisedConvolution
    over_units: tuple[NormalisedConvolution, NormalisedConvolution]

    def __call__(self, a: Float[Array, "in_channels batch unit"]) -> Float[Array, "out_channels batch unit"]:
        """Let examples, then units, exchange information."""
        a = self.over_batch(a, OVER_BATCH)
        first, second = self.over_units
        return a + second(first(a, OVER_UNITS), OVER_UNITS)


class PublishedRule(LearnedRule):
    """The published learned rule; see the module's description."""

    top: TopError
    input_offset: Float[Array, " normalised_inputs"]
    """Offset of the batch norm of x, z, unit identity and error signal."""
    blocks: tuple[Block, Block]
    fixed_rate: float = eqx.field(static=True)

    @property
    def rate(self) -> Float[Array, ""]:
        """Size of an inner step; not learned."""
        return jnp.asarray(self.fixed_rate)

    def top_error(self, features: Float[Array, "batch unit"]) -> Error:
        """The error signal that enters the top layer."""
        return self.top(features)

    def update_network(
        self,
        x: Float[Array, "batch unit"],
        z: Float[Array, "batch unit"],
        error: Error,
        bias: Float[Array, " unit"],
        statistics: Float[Array, "8 unit"],
    ) -> Hidden:
        """Hidden channels of a level's units."""
        identity = jnp.broadcast_to(unit_identity(x.shape[1])[:, None, :].astype(x.dtype), (2, *x.shape))
        normalised = normalise(jnp.concatenate([jnp.stack([x, z]), identity, error])) + self.input_offset[:, None, None]
        of_unit = jnp.concatenate([statistics, bias[None]])[:, None, :]
        a = jnp.concatenate([jnp.broadcast_to(of_unit, (len(of_unit), *x.shape)), normalised])
        for block in self.blocks:
            a = block(a)
        return a


def build(spec: Published, key: PRNGKeyArray) -> PublishedRule:
    """The rule at its initial theta: truncated normal kernels of variance 1/fan-in, no offsets, equal coefficients."""
    keys: Iterator[PRNGKeyArray] = iter(jax.random.split(key, 32))
    channels, error_channels, features = spec.channels, spec.error_channels, spec.features

    def convolution(width: int, in_channels: int, out_channels: int) -> Convolution:
        scale = (width * in_channels) ** -0.5
        kernel = scale * jax.random.truncated_normal(next(keys), -2.0, 2.0, (width, in_channels, out_channels))
        return Convolution(kernel, jnp.zeros(out_channels))

    def normalised(width: int, in_channels: int, out_channels: int) -> NormalisedConvolution:
        return NormalisedConvolution(convolution(width, in_channels, out_channels), jnp.zeros(out_channels))

    def block(in_channels: int) -> Block:
        over_units = normalised(3, channels, channels), normalised(3, channels, channels)
        return Block(normalised(3, in_channels, channels), over_units)

    def readouts() -> WeightReadouts:
        return WeightReadouts(
            lower=initial_affine(next(keys), channels, LOWER_READOUTS * spec.readout_channels),
            upper=initial_affine(next(keys), channels, UPPER_READOUTS * spec.readout_channels),
            mix=Mix(jnp.full(len(TERMS), COEFFICIENT), jnp.zeros(())),
        )

    normalised_inputs = INPUTS + error_channels
    return PublishedRule(
        error_out=initial_affine(next(keys), channels, error_channels),
        forward=readouts(),
        backward=None if spec.shared_backward else readouts(),
        bias_readout=initial_affine(next(keys), channels, 1),
        top=TopError(
            expand=normalised(5, 1, channels),
            across_units=(normalised(3, features, features), normalised(3, features, features)),
            refine=(normalised(3, channels, channels), normalised(3, channels, channels)),
            reduce=convolution(3, channels, error_channels),
        ),
        input_offset=jnp.zeros(normalised_inputs),
        blocks=(block(UNIT_INPUTS + normalised_inputs), block(channels)),
        fixed_rate=spec.rate,
    )
