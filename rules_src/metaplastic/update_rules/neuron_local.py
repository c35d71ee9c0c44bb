"""Neuron-local rules with an update network: what the published and the compact rule share.

Such a rule sweeps an error signal down through the layers and then changes every weight. The two rules differ in how
examples and units exchange information: at the top and in the update network. Signals are [channel, batch, unit].
"""

import abc
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from metaplastic.network import BaseModel, Layer, Weights
from metaplastic.update_rules import terms
from metaplastic.update_rules.base import MetaTrainable
from metaplastic.update_rules.update_network import Affine, layer_statistics

Hidden = Float[Array, "channel place"]
"""Hidden channels. A place is a unit in an example: with both on one axis, a readout is one matrix product."""
Error = Float[Array, "error_channel batch unit"]


class Population(NamedTuple):
    """The units of one level, input or layer, and what the sweep leaves in them."""

    x: Float[Array, "batch unit"]
    """Post-activation."""
    error: Float[Array, "error_channel batch unit"]
    """Error signal from above."""
    hidden: Float[Array, "channel place"]
    """Output of the update network."""
    delta: Float[Array, "error_channel batch unit"]
    """Error signal that goes down through V; the input level computes it too but passes it to nobody."""


class WeightReadouts(NamedTuple):
    """How hidden channels become a weight change."""

    lower: Affine
    upper: Affine
    mix: terms.Mix

    def signals(self, lower: Population, upper: Population) -> tuple[terms.Signals, terms.Signals]:
        """Return what the terms need of the two populations that a layer connects."""
        below = terms.Signals.of(lower.x, self.lower(lower.hidden), terms.LOWER_READOUTS)
        return below, terms.Signals.of(upper.x, self.upper(upper.hidden), terms.UPPER_READOUTS)

    def change(self, W: Weights, lower: Population, upper: Population) -> Weights:
        """Return the bounded change of the weights between two populations."""
        return terms.weight_change(terms.column_normalised(W), *self.signals(lower, upper), self.mix)


class NeuronLocalRule(MetaTrainable):
    """A rule with an update network; a subclass computes that network and the error signal at the top."""

    error_out: Affine
    """What a unit adds to the error signal that it passes down."""
    forward: WeightReadouts
    """Readouts for W."""
    backward: WeightReadouts | None
    """Readouts for V, or None if V changes as W does."""
    bias_readout: Affine

    @abc.abstractmethod
    def top_error(self, features: Float[Array, "batch unit"]) -> Error:
        """Compute the error signal that enters the top layer from that layer's activations alone."""

    @abc.abstractmethod
    def update_network(
        self,
        x: Float[Array, "batch unit"],
        z: Float[Array, "batch unit"],
        error: Error,
        bias: Float[Array, " unit"],
        statistics: Float[Array, "8 unit"],
    ) -> Hidden:
        """Compute the hidden channels of a level from its activity, error signal, biases and weight statistics."""

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """Take one inner step: shrink every parameter by `rate` and subtract `rate` times its change."""
        layers = []
        for layer, (lower, upper) in zip(phi.layers, pairwise(self.sweep(phi, x)), strict=True):
            # The rate is computed anew for every layer, since how often it is decides the last bit of its gradient.
            changes, rate = self.changes(layer, lower, upper), self.rate
            keep = 1.0 - rate
            layers.append(Layer(*(keep * old - rate * new for old, new in zip(layer, changes, strict=True))))
        return BaseModel(tuple(layers), phi.activation)

    def sweep(self, phi: BaseModel, x: Float[Array, "batch input"]) -> list[Population]:
        """Return the signals of every level on the batch `x`, from the input up; they are found from the top down."""
        xs, zs = phi.forward(x)
        levels: list[Population] = []
        error = self.top_error(xs[-1])
        # The input level has neither batch norm nor bias.
        places = zip([None, *phi.layers], [*phi.layers, None], xs, [x, *zs], strict=True)
        for below, above, activity, z in reversed(list(places)):
            bias = below.b if below else jnp.zeros(x.shape[1], x.dtype)
            statistics = layer_statistics(below.W if below else None, above.W if above else None)
            hidden = self.hidden(activity, z, error, bias, statistics)
            delta = error * jax.nn.sigmoid(z) + self.error_out(hidden).reshape(error.shape)
            levels.insert(0, Population(activity, error, hidden, delta))
            if below:
                error = jnp.einsum("cbu,lu->cbl", delta, below.V)
                error = error * jax.lax.rsqrt((error**2).mean(0) + 1e-6)
        return levels

    def hidden(self, x: Array, *signals: Array) -> Hidden:
        """Run the update network in its own precision; return its result in the precision of the signals."""
        if self.precision == "bfloat16":
            network, low = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (self, (x, *signals)))
            return network.update_network(*low).astype(x.dtype)
        with jax.default_matmul_precision("tensorfloat32" if self.precision == "tensorfloat32" else "highest"):
            return self.update_network(x, *signals)

    def changes(self, layer: Layer, lower: Population, upper: Population) -> Layer:
        """Return the changes of W, b and V between two populations."""
        forward = self.forward.change(layer.W, lower, upper)
        backward = self.backward.change(layer.V, lower, upper) if self.backward else forward
        return Layer(forward, terms.bias_change(self.bias_readout(upper.hidden).reshape(upper.x.shape)), backward)
