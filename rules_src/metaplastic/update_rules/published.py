"""The rule of Metz et al. 2019: a per-neuron network of convolutions over the order of examples and of units.

Where the paper leaves a detail open, this follows recorded numbers of the released code (see `tools/replay.py`).
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.update_rules.neuron_local import Error, Hidden, NeuronLocalRule, WeightReadouts
from metaplastic.update_rules.spec import Published
from metaplastic.update_rules.terms import LOWER_READOUTS, TERMS, UPPER_READOUTS, Mix
from metaplastic.update_rules.update_network import initial_affine, normalise, unit_identity

UNIT_INPUTS = 9
"""Number of inputs of a unit that are not normalised: weight statistics (8) and bias (1)."""


class Convolution(NamedTuple):
    """A convolution with zero padding, equally wide on both sides."""

    kernel: Float[Array, "width in_channels out_channels"]
    bias: Float[Array, " out_channels"]

    def __call__(self, a: Float[Array, "row length in_channels"]) -> Float[Array, "row length out_channels"]:
        """Cross-correlate along the middle axis and add the bias."""
        return cross_correlation(a, self.kernel) + self.bias


@jax.custom_vjp
def cross_correlation(
    a: Float[Array, "row length in_channels"], kernel: Float[Array, "width in_channels out_channels"]
) -> Float[Array, "row length out_channels"]:
    """Cross-correlate along the middle axis, with zero padding.

    The gradient is written out because XLA's own gradient of the kernel is a convolution as wide as the input. Inside
    the loop over inner steps, XLA runs it on CPU without its fast library, many times slower than matrix products.
    """
    return jax.lax.conv_general_dilated(a, kernel, (1,), "SAME", dimension_numbers=("NHC", "HIO", "NHC"))


def _cross_correlation_backward(
    operands: tuple[Array, Array], g: Float[Array, "row length out_channels"]
) -> tuple[Array, Array]:
    a, kernel = operands
    width, length = len(kernel), a.shape[1]
    padded = jnp.pad(g, ((0, 0), (width // 2, width // 2), (0, 0)))
    shifted = [padded[:, start : start + length].reshape(-1, g.shape[2]) for start in reversed(range(width))]
    to_kernel = jnp.stack([a.reshape(-1, a.shape[2]).T @ each for each in shifted])
    return cross_correlation(g, kernel[::-1].swapaxes(1, 2)), to_kernel


cross_correlation.defvjp(lambda a, kernel: (cross_correlation(a, kernel), (a, kernel)), _cross_correlation_backward)


class NormalisedConvolution(NamedTuple):
    """Convolution, batch norm with a learned offset and no scale, ReLU."""

    convolution: Convolution
    offset: Float[Array, " out_channels"]

    def __call__(self, a: Float[Array, "row length in_channels"]) -> Float[Array, "row length out_channels"]:
        """Apply the three along the middle axis, without the convolution's bias, which batch norm would subtract."""
        return jax.nn.relu(normalise(cross_correlation(a, self.convolution.kernel), axes=(0, 1)) + self.offset)


class TopError(NamedTuple):
    """The error signal at the top. Its middle part treats units as channels, so theta fixes the number of features."""

    expand: NormalisedConvolution
    across_units: tuple[NormalisedConvolution, ...]
    refine: tuple[NormalisedConvolution, ...]
    reduce: Convolution

    def __call__(self, features: Float[Array, "batch unit"]) -> Error:
        """Compute the error signal [error channel, batch, unit]."""
        a = self.expand(features.T[..., None]).swapaxes(0, 2)
        for convolution in self.across_units:
            a = convolution(a)
        a = a.swapaxes(0, 2)
        for convolution in self.refine:
            a = convolution(a)
        return self.reduce(a).transpose(2, 1, 0)


class Block(NamedTuple):
    """A convolution over the batch and a residual pair of convolutions over units."""

    over_batch: NormalisedConvolution
    over_units: tuple[NormalisedConvolution, NormalisedConvolution]

    def __call__(self, a: Float[Array, "unit batch in_channels"]) -> Float[Array, "batch unit out_channels"]:
        """Mix information between examples, then between units."""
        a = self.over_batch(a).swapaxes(0, 1)
        first, second = self.over_units
        return a + second(first(a))


class PublishedRule(NeuronLocalRule):
    """The published rule, as the module describes it."""

    top: TopError
    input_offset: Float[Array, " normalised_inputs"]
    """Offset of the batch norm of x, z, unit identity and error signal."""
    blocks: tuple[Block, Block]
    fixed_rate: float = eqx.field(static=True)

    @property
    def rate(self) -> Float[Array, ""]:
        """Inner step size; not learned."""
        return jnp.asarray(self.fixed_rate)

    def top_error(self, features: Float[Array, "batch unit"]) -> Error:
        """Compute the error signal that enters the top layer."""
        return self.top(features)

    def update_network(self, x: Array, z: Array, error: Error, bias: Array, statistics: Array) -> Hidden:
        """Compute the hidden channels of a level's units."""
        identity = jnp.broadcast_to(unit_identity(x.shape[1]).T[:, None].astype(x.dtype), (*x.T.shape, 2))
        signals = jnp.concatenate([x.T[..., None], z.T[..., None], identity, error.T], -1)
        of_unit = jnp.concatenate([statistics, bias[None]]).T[:, None]
        of_unit = jnp.broadcast_to(of_unit, (*x.T.shape, UNIT_INPUTS))
        first, second = self.blocks
        a = first(jnp.concatenate([of_unit, normalise(signals, axes=(0, 1)) + self.input_offset], -1))
        a = second(a.swapaxes(0, 1))
        return a.reshape(-1, a.shape[-1]).T


def build(spec: Published, key: PRNGKeyArray) -> PublishedRule:
    """Return the rule at its initial theta: truncated normal kernels of variance 1/fan-in, equal coefficients."""
    keys = iter(jax.random.split(key, 32))
    channels, error_channels, features = spec.channels, spec.error_channels, spec.features

    def convolution(width: int, in_channels: int, out_channels: int) -> Convolution:
        scale = (width * in_channels) ** -0.5
        kernel = scale * jax.random.truncated_normal(next(keys), -2.0, 2.0, (width, in_channels, out_channels))
        return Convolution(kernel, jnp.zeros(out_channels))

    def normalised(width: int, in_channels: int, out_channels: int) -> NormalisedConvolution:
        return NormalisedConvolution(convolution(width, in_channels, out_channels), jnp.zeros(out_channels))

    def pair(channels: int) -> tuple[NormalisedConvolution, NormalisedConvolution]:
        return normalised(3, channels, channels), normalised(3, channels, channels)

    def block(in_channels: int) -> Block:
        over_units = pair(channels)
        return Block(normalised(3, in_channels, channels), over_units)

    def readouts() -> WeightReadouts:
        return WeightReadouts(
            lower=initial_affine(next(keys), channels, LOWER_READOUTS * spec.readout_channels),
            upper=initial_affine(next(keys), channels, UPPER_READOUTS * spec.readout_channels),
            mix=Mix(jnp.full(len(TERMS), 0.1), jnp.zeros(())),
        )

    # Besides its error signal a unit has four normalised inputs: x, z, and the sine and cosine of its place.
    normalised_inputs = 4 + error_channels
    return PublishedRule(
        error_out=initial_affine(next(keys), channels, error_channels),
        forward=readouts(),
        backward=None if spec.shared_backward else readouts(),
        bias_readout=initial_affine(next(keys), channels, 1),
        top=TopError(
            expand=normalised(5, 1, channels),
            across_units=pair(features),
            refine=pair(channels),
            reduce=convolution(3, channels, error_channels),
        ),
        input_offset=jnp.zeros(normalised_inputs),
        blocks=(block(UNIT_INPUTS + normalised_inputs), block(channels)),
        fixed_rate=spec.rate,
    )
