"""What rules with an update network do: an error signal swept down through the layers, then a change of every weight.

The published and the compact rule differ only in how examples and units exchange information: in the error signal at
the top and in the update network. Signals are laid out as [channel, batch, unit].
"""

import abc
import dataclasses
from itertools import pairwise
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from metaplastic.network import BaseModel, Layer
from metaplastic.update_rules.affine import Affine
from metaplastic.update_rules.base import MetaTrainable
from metaplastic.update_rules.neuron_inputs import layer_statistics
from metaplastic.update_rules.spec import Precision
from metaplastic.update_rules.weight_change import (
    LOWER_READOUTS,
    UPPER_READOUTS,
    WIDE,
    Change,
    Mix,
    bias_change,
    bounded,
    change_of_wide_layer,
    column_normalised,
    mixture,
    step,
    weight_terms,
)

Hidden = Float[Array, "channel place"]
"""Examples and units are one axis, so that a readout is one matrix product, however a rule lays out its channels."""
Error = Float[Array, "error_channel batch unit"]


class WeightReadouts(NamedTuple):
    """How hidden channels become a weight change."""

    lower: Affine
    upper: Affine
    mix: Mix


class Population(NamedTuple):
    """The units of one level, input or layer, and what the sweep leaves in them."""

    x: Float[Array, "batch unit"]
    """Post-activation."""
    error: Float[Array, "error_channel batch unit"]
    """Error signal from above."""
    hidden: Float[Array, "channel place"]
    """Output of the update network, for every place: every unit in every example."""
    delta: Float[Array, "error_channel batch unit"]
    """Error signal that goes down through V, from all levels but the input."""


class NeuronLocalRule(MetaTrainable):
    """A rule with an update network; what it adds is how that network and the top error signal are computed."""

    error_out: Affine
    """What a unit adds to the error signal that it passes down."""
    forward: WeightReadouts
    """Readouts for W."""
    backward: WeightReadouts | None
    """Readouts for V; none where V changes as W does."""
    bias_readout: Affine
    precision: Precision = eqx.field(static=True, default="float32", kw_only=True)
    """Of the update network; all else is computed as it comes."""

    @abc.abstractmethod
    def top_error(self, features: Float[Array, "batch unit"]) -> Error:
        """The error signal that enters the top layer, computed from its activations alone."""

    @abc.abstractmethod
    def update_network(
        self,
        x: Float[Array, "batch unit"],
        z: Float[Array, "batch unit"],
        error: Error,
        bias: Float[Array, " unit"],
        statistics: Float[Array, "8 unit"],
    ) -> Hidden:
        """Hidden channels of a level's units from their activity, error signal, bias and weight statistics."""

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """One inner step on the unlabelled batch `x`."""
        levels = self.sweep(phi, x)
        layers = tuple(
            step(layer, *self.changes(layer, lower, upper), self.rate)
            for layer, (lower, upper) in zip(phi.layers, pairwise(levels), strict=True)
        )
        return BaseModel(layers, phi.activation)

    def sweep(self, phi: BaseModel, x: Float[Array, "batch input"]) -> list[Population]:
        """Every level's signals on the batch `x`, from the input up; they are found from the top down."""
        xs, zs = phi.forward(x)
        layers = phi.layers
        levels: list[Population] = []
        error = self.top_error(xs[-1])
        for level in range(len(layers), -1, -1):
            below = layers[level - 1] if level > 0 else None
            above = layers[level] if level < len(layers) else None
            # The input level has neither batch norm nor bias.
            z = zs[level - 1] if below else xs[0]
            bias = below.b if below else jnp.zeros(xs[0].shape[1], xs[0].dtype)
            statistics = layer_statistics(below.W if below else None, above.W if above else None)
            hidden = self.hidden(xs[level], z, error, bias, statistics)
            delta = error * jax.nn.sigmoid(z) + self.error_out(hidden).reshape(error.shape)
            levels.insert(0, Population(xs[level], error, hidden, delta))
            if below:
                error = jnp.einsum("cbu,lu->cbl", delta, below.V)
                error = error * jax.lax.rsqrt((error**2).mean(0) + 1e-6)
        return levels

    def hidden(self, x: Array, *signals: Array) -> Hidden:
        """The update network, in its own precision, of signals in another one; its result is in theirs."""
        if self.precision == "bfloat16":
            network, low = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (self, (x, *signals)))
            return network.update_network(*low).astype(x.dtype)
        with jax.default_matmul_precision("tensorfloat32" if self.precision == "tensorfloat32" else "highest"):
            return self.update_network(x, *signals)

    def with_precision(self, precision: Precision) -> "NeuronLocalRule":
        """The same rule, its update network computed in `precision`."""
        return self if precision == self.precision else dataclasses.replace(self, precision=precision)

    def changes(self, layer: Layer, lower: Population, upper: Population) -> tuple[Change, Float[Array, "lower upper"]]:
        """The changes of W and b, and that of V."""
        forward = weight_change(layer.W, lower, upper, self.forward)
        backward = weight_change(layer.V, lower, upper, self.backward) if self.backward else forward
        return Change(forward, bias_change(self.bias_readout(upper.hidden).reshape(upper.x.shape))), backward


def weight_change(
    W: Float[Array, "lower upper"], lower: Population, upper: Population, readouts: WeightReadouts
) -> Float[Array, "lower upper"]:
    """The bounded change of the weights between two levels."""
    w = column_normalised(W)
    if w.size > WIDE:
        return change_of_wide_layer(w, *_signals(lower, upper, readouts), readouts.mix)
    return bounded(mixture(layer_terms(w, lower, upper, readouts), readouts.mix), w)


def layer_terms(
    w: Float[Array, "lower upper"], lower: Population, upper: Population, readouts: WeightReadouts
) -> Float[Array, "12 lower upper"]:
    """The terms for column-normalised weights `w` between two levels."""
    return weight_terms(w, *_signals(lower, upper, readouts))


def _signals(
    lower: Population, upper: Population, readouts: WeightReadouts
) -> tuple[
    Float[Array, "batch lower"],
    Float[Array, "batch upper"],
    Float[Array, "7 rank batch lower"],
    Float[Array, "8 rank batch upper"],
]:
    """Post-activations and readouts below and above."""
    return (
        lower.x,
        upper.x,
        readouts.lower(lower.hidden).reshape(LOWER_READOUTS, -1, *lower.x.shape),
        readouts.upper(upper.hidden).reshape(UPPER_READOUTS, -1, *upper.x.shape),
    )
