"""Oja's subspace rule (1989), a rule without meta-parameters."""

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import Weights
from metaplastic.update_rules.base import LayerwiseRule
from metaplastic.update_rules.spec import Oja
from metaplastic.update_rules.terms import unit_total_variance


class OjaRule(LayerwiseRule):
    """Oja's rule in every layer: W comes to span the leading principal subspace of the layer's input.

    The step is relative to the variance of that input, so one rate serves inputs of any number and scale.
    """

    rate: float = eqx.field(static=True)

    def changed(self, W: Weights, lower: Float[Array, "batch lower"], upper: Float[Array, "batch upper"]) -> Weights:
        """Return W + rate E[x y^T - W y y^T] with y = W^T x, for centred x of unit total variance."""
        lower = unit_total_variance(lower)
        y = lower @ W
        return W + self.rate * (lower.T @ y - W @ self.feedback(y.T @ y)) / len(lower)

    def feedback(self, products: Float[Array, "unit unit"]) -> Float[Array, "unit unit"]:
        """Return the part of y y^T by which units take from one another what they have found: all of it."""
        return products


def build(spec: Oja, key: PRNGKeyArray) -> OjaRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return OjaRule(spec.rate)
