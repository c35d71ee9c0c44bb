"""The smallest learned rule: a polynomial of what a synapse sees, meta-trained like any other.

Its terms are the 27 of Confavreux et al. 2020, to second order in each of the activity below, the activity above and
the weight; and the one that Oja's subspace rule (1989) needs besides, of what the units above together give back to
the one below.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import BaseModel, Own, in_blocks
from metaplastic.update_rules.base import MetaTrainable
from metaplastic.update_rules.spec import Polynomial
from metaplastic.update_rules.weight_change import WIDE, column_normalised, saturate, standardise, unit_total_variance

ORDERS = 3
"""Powers 0, 1 and 2 of each quantity."""


class Synapses(NamedTuple):
    """What the synapses between two populations see, at a scale that no number of units changes."""

    below: Float[Array, "batch lower"]
    """Activity below, centred; its variance is one on average over units."""
    above: Float[Array, "batch upper"]
    """Its product with the weights, as if the total variance below were one and the weights not rescaled; or the
    layer's activations, standardised and scaled to a total variance of one."""
    weight: Float[Array, "lower upper"]
    """In multiples of what orthonormal weights have in the root mean square."""
    returned: Float[Array, "batch lower"]
    """What the units above give back through the weights: of orthonormal ones the projection of `below`."""


class PolynomialRule(MetaTrainable):
    """W <- W + the mean over the batch of: sum of theta[a, b, c] below^a above^b weight^c, + subspace above returned.

    Biases and V stay as they were drawn. A step moves a unit's weights by less than their size, were they orthonormal.
    Of activations, which batch norm has made independent of their scale, it leaves every unit's with a norm of one: or
    weights grow without bound, and what a step changes fades.
    """

    coefficients: Float[Array, "3 3 3"]
    """By the orders in the activity below, in that above and in the weight."""
    subspace: Float[Array, ""]
    """Of what is returned; Oja's subspace rule has minus its rate here."""
    by_activation: bool = eqx.field(static=True, default=False)
    """Whether the activity above is the layer's own and not the product with the weights."""

    @property
    def rate(self) -> Float[Array, ""]:
        """Norm of the coefficients; there is no rate besides."""
        return jnp.sqrt((self.coefficients**2).sum() + self.subspace**2)

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """One inner step on the unlabelled batch `x`."""

        def changed(W: Array, lower: Array, upper: Array) -> Array:
            seen = synapses(W, lower, upper if self.by_activation else None)
            scale = len(W) ** -0.5
            W = W + scale * self.change(seen)
            return scale * column_normalised(W) if self.by_activation else W

        xs = phi.forward(x).xs
        layers = tuple(
            layer._replace(W=changed(layer.W, lower, upper))
            for layer, lower, upper in zip(phi.layers, xs[:-1], xs[1:], strict=True)
        )
        return BaseModel(layers, phi.activation)

    def change(self, seen: Synapses) -> Float[Array, "lower upper"]:
        """The bounded change of the weights; by a block of upper units at a time where there are `WIDE` many."""
        batch, lower = seen.below.shape
        # What a power of the activity above is multiplied with: nine matrices of a row an example.
        factors = jnp.einsum("abc,axl->bcxl", self.coefficients, powers(seen.below))
        factors = factors.at[1, 0].add(self.subspace * seen.returned)

        def block(own: Own) -> Float[Array, "lower own"]:
            above, weight = powers(own(seen.above)), own(seen.weight)
            # Horner's scheme in the weight.
            by_order = [jnp.einsum("bxl,bxu->lu", factors[:, order], above) / batch for order in range(ORDERS)]
            return saturate(by_order[0] + weight * (by_order[1] + weight * by_order[2]))

        return in_blocks(block, (lower, seen.above.shape[1]), WIDE // lower)


def synapses(
    W: Float[Array, "lower upper"], lower: Float[Array, "batch lower"], upper: Float[Array, "batch upper"] | None = None
) -> Synapses:
    """What the synapses of a layer see of a batch of activities below it, and of those above where they are given."""
    lower = unit_total_variance(lower)
    above = lower @ W if upper is None else standardise(upper) * upper.shape[1] ** -0.5
    scale = len(W) ** 0.5
    return Synapses(scale * lower, above, scale * W, scale * (above @ W.T))


def powers(a: Float[Array, "batch unit"]) -> Float[Array, "3 batch unit"]:
    """The powers 0, 1 and 2."""
    return jnp.stack([jnp.ones_like(a), a, a**2])


def build(spec: Polynomial, key: PRNGKeyArray) -> PolynomialRule:
    """The rule at its initial theta, Oja's subspace rule; nothing of it is drawn."""
    del key
    rate = jnp.array(spec.initial_rate)
    return PolynomialRule(jnp.zeros((ORDERS,) * 3).at[1, 1, 0].set(rate), -rate, spec.above == "activation")
