"""The compact rule: the published rule with means over batch and units in place of its convolutions.

A neuron's update network sees its own channels, their mean over the batch and their mean over the layer's units. The
rule is therefore equivariant to the order of examples and, if unit identities are permuted too, to that of units. It
fits layers of any width. Tensors are laid out as [channel, batch, unit].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.update_rules.neuron_local import Error, Hidden, NeuronLocalRule, WeightReadouts
from metaplastic.update_rules.spec import Compact
from metaplastic.update_rules.terms import LOWER_READOUTS, TERMS, UPPER_READOUTS, Mix
from metaplastic.update_rules.update_network import Affine, initial_affine, linear, normalise, unit_identity

LARGEST_RATE = 0.3


class PooledMap(NamedTuple):
    """A linear map of a unit's channels and of their means over the batch and over units, batch norm, and ReLU."""

    own: Float[Array, "out_channels in_channels"]
    over_batch: Float[Array, "out_channels in_channels"]
    over_units: Float[Array, "out_channels in_channels"]
    offset: Float[Array, " out_channels"]

    def __call__(self, a: Float[Array, "in_channels batch unit"]) -> Float[Array, "out_channels batch unit"]:
        """Apply the map; broadcast the two means."""
        mixed = linear(self.own, a) + linear(self.over_batch, a.mean(1))[:, None, :]
        return rectified(mixed + linear(self.over_units, a.mean(2))[:, :, None], self.offset)


def rectified(a: Float[Array, "channel batch unit"], offset: Array) -> Float[Array, "channel batch unit"]:
    """Apply batch norm with a learned offset and no scale, then ReLU."""
    return jax.nn.relu(normalise(a) + offset[:, None, None])


class CompactRule(NeuronLocalRule):
    """The compact rule, as the module describes it."""

    activity_in: Float[Array, "channels 2"]
    """Input map of the normalised pre- and post-activation."""
    error_in: Float[Array, "channels error_channels"]
    """Input map of the normalised error signal from above."""
    unit_in: Float[Array, "channels 11"]
    """Input map of weight statistics (8), bias (1) and unit identity (2)."""
    input_offset: Float[Array, " channels"]
    """Offset of the batch norm after the three input maps."""
    blocks: tuple[PooledMap, ...]
    """Residual blocks of the update network."""
    top_in: tuple[Float[Array, "channels 1"], Float[Array, " channels"]]
    """Sign and, after batch norm, threshold with which each channel of the top error signal sees a feature."""
    top: PooledMap
    """Exchange between features and between examples at the top."""
    top_out: Affine
    """Output map to the top error signal."""
    rate_logit: Float[Array, ""]
    """Logit of the inner rate as a share of `LARGEST_RATE`, which bounds the rate whatever meta-training does."""

    @property
    def rate(self) -> Float[Array, ""]:
        """Inner step size."""
        return LARGEST_RATE * jax.nn.sigmoid(self.rate_logit)

    def top_error(self, features: Float[Array, "batch unit"]) -> Error:
        """Compute the error signal that enters the top layer."""
        weight, offset = self.top_in
        return self.top_out(self.top(rectified(linear(weight, features[None]), offset)))

    def update_network(self, x: Array, z: Array, error: Error, bias: Array, statistics: Array) -> Hidden:
        """Compute the hidden channels of a level's units."""
        activity = linear(self.activity_in, normalise(jnp.stack([x, z]))) + linear(self.error_in, normalise(error))
        identity = normalise(unit_identity(x.shape[1]), axes=(1,))
        of_unit = self.unit_in @ jnp.concatenate([statistics, bias[None], identity])
        a = rectified(activity + of_unit[:, None, :], self.input_offset)
        for block in self.blocks:
            a = a + block(a)
        return a.reshape(len(a), -1)


def build(spec: Compact, key: PRNGKeyArray) -> CompactRule:
    """Return the rule at its initial theta: a random update network, with Hebbian and decorrelating terms dominant."""
    keys = iter(jax.random.split(key, 16))
    channels, error_channels = spec.channels, spec.error_channels

    def affine(in_channels: int, out_channels: int) -> Affine:
        return initial_affine(next(keys), in_channels, out_channels)

    def pooled() -> PooledMap:
        own, over_batch, over_units = jnp.split(affine(3 * channels, channels).weight, 3, axis=1)
        return PooledMap(own, over_batch, over_units, jnp.zeros(channels))

    dominant = {"hebb": 10.0, "decorr_x": 3.0}
    into = affine(2 + error_channels + 11, channels).weight
    return CompactRule(
        activity_in=into[:, :2],
        error_in=into[:, 2 : 2 + error_channels],
        unit_in=into[:, 2 + error_channels :],
        input_offset=jnp.zeros(channels),
        blocks=(pooled(), pooled()),
        # Batch norm takes the size out of the weights: without thresholds, channels would differ in sign only.
        top_in=(affine(1, channels).weight, jax.random.truncated_normal(next(keys), -2.0, 2.0, (channels,))),
        top=pooled(),
        top_out=affine(channels, error_channels),
        error_out=affine(channels, error_channels),
        forward=WeightReadouts(
            lower=affine(channels, LOWER_READOUTS * spec.readout_channels),
            upper=affine(channels, UPPER_READOUTS * spec.readout_channels),
            mix=Mix(jnp.array([dominant.get(term, 0.3) for term in TERMS]), jnp.zeros(())),
        ),
        backward=None,
        bias_readout=affine(channels, 1),
        rate_logit=jax.scipy.special.logit(jnp.array(spec.initial_rate / LARGEST_RATE, dtype=float)),
    )
