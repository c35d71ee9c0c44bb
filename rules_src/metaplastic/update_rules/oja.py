"""Oja's subspace rule (1989), a rule without meta-parameters."""

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Oja
from metaplastic.update_rules.terms import unit_total_variance


class OjaRule(UpdateRule):
    """Oja's rule in every layer: W comes to span the leading principal subspace of the layer's input.

    The step is relative to the variance of that input, so one rate serves inputs of any number and scale.
    """

    rate: float = eqx.field(static=True)

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """W <- W + rate (x y^T - W y y^T) with y = W^T x, for centred x of unit total variance."""

        def changed(W: Array, lower: Array, upper: Array) -> Array:
            lower = unit_total_variance(lower)
            y = lower @ W
            return W + self.rate * (lower.T @ y - W @ (y.T @ y)) / len(lower)

        return phi.with_weights(x, changed)


def build(spec: Oja, key: PRNGKeyArray) -> OjaRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return OjaRule(spec.rate)
