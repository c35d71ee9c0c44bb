"""The smallest learned rule: a polynomial of the signals at a synapse, meta-trained like any other rule.

Its terms are the 27 of Confavreux et al. 2020, to second order in each of the activity below, the activity above and
the weight; and, for Oja's subspace rule (1989), the feedback that all units above together return to the one below.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import Own, Weights, in_blocks, standardise
from metaplastic.update_rules.base import LayerwiseRule, MetaTrainable
from metaplastic.update_rules.spec import Polynomial
from metaplastic.update_rules.terms import WIDE, column_normalised, saturate, unit_total_variance


class Synapses(NamedTuple):
    """The signals at the synapses between two populations, at a scale that does not depend on the number of units."""

    below: Float[Array, "batch lower"]
    """Activity below, centred; its variance is one on average over units."""
    above: Float[Array, "batch upper"]
    """Product of the weights and the activity below, this scaled to a total variance of one; or the layer's
    activations, standardised and scaled to a total variance of one."""
    weight: Float[Array, "lower upper"]
    """Weights in multiples of the root mean square of orthonormal weights."""
    returned: Float[Array, "batch lower"]
    """Feedback of the units above through the weights: if these are orthonormal, the projection of `below`."""


class PolynomialRule(LayerwiseRule, MetaTrainable):
    """W <- W + the batch mean of sum theta[a, b, c] below^a above^b weight^c + subspace above returned.

    A step moves a unit's weights by less than the norm of orthonormal weights.
    With `by_activation`, every unit's weights are scaled to a norm of one: batch norm makes activations independent of
    that norm, so weights would grow without bound and the effect of a step would fade.
    """

    coefficients: Float[Array, "3 3 3"]
    """Coefficients by the orders in the activity below, the activity above and the weight."""
    subspace: Float[Array, ""]
    """Coefficient of the feedback; Oja's subspace rule has minus its rate here."""
    by_activation: bool = eqx.field(static=True, default=False)
    """Whether the activity above is the layer's activations rather than the product with the weights."""

    @property
    def rate(self) -> Float[Array, ""]:
        """Norm of the coefficients, since the rule has no separate rate."""
        return jnp.sqrt((self.coefficients**2).sum() + self.subspace**2)

    def changed(self, W: Weights, lower: Float[Array, "batch lower"], upper: Float[Array, "batch upper"]) -> Weights:
        """Return the new weights of a layer."""
        seen = synapses(W, lower, upper if self.by_activation else None)
        scale = len(W) ** -0.5
        W = W + scale * self.change(seen)
        return scale * column_normalised(W) if self.by_activation else W

    def change(self, seen: Synapses) -> Float[Array, "lower upper"]:
        """Return the bounded change of the weights; compute a `WIDE` layer in blocks of upper units."""
        batch, lower = seen.below.shape
        # The factors of each power of the activity above: nine matrices with a row per example.
        factors = jnp.einsum("abc,axl->bcxl", self.coefficients, powers(seen.below))
        factors = factors.at[1, 0].add(self.subspace * seen.returned)

        def block(own: Own) -> Float[Array, "lower own"]:
            above, weight = powers(own(seen.above)), own(seen.weight)
            # Horner's scheme in the weight.
            by_order = [jnp.einsum("bxl,bxu->lu", factors[:, order], above) / batch for order in range(3)]
            return saturate(by_order[0] + weight * (by_order[1] + weight * by_order[2]))

        return in_blocks(block, (lower, seen.above.shape[1]), WIDE // lower)


def synapses(
    W: Float[Array, "lower upper"], lower: Float[Array, "batch lower"], upper: Float[Array, "batch upper"] | None = None
) -> Synapses:
    """Return the signals at the synapses of a layer from activities below it and, if given, activations above."""
    lower = unit_total_variance(lower)
    above = lower @ W if upper is None else standardise(upper) * upper.shape[1] ** -0.5
    scale = len(W) ** 0.5
    return Synapses(scale * lower, above, scale * W, scale * (above @ W.T))


def powers(a: Float[Array, "batch unit"]) -> Float[Array, "3 batch unit"]:
    """Return the powers 0, 1 and 2."""
    return jnp.stack([jnp.ones_like(a), a, a**2])


def build(spec: Polynomial, key: PRNGKeyArray) -> PolynomialRule:
    """Return the rule at its initial theta, Oja's subspace rule; nothing about it is random."""
    rate = jnp.array(spec.initial_rate)
    return PolynomialRule(jnp.zeros((3, 3, 3)).at[1, 1, 0].set(rate), -rate, spec.above == "activation")
