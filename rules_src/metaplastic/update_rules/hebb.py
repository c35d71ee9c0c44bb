"""Hebbian learning with normalised weights, a rule without meta-parameters."""

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Hebb
from metaplastic.update_rules.terms import column_normalised, standardise


class HebbRule(UpdateRule):
    """Weights grow with the correlation of standardised activities below and above, and stay column-normalised."""

    rate: float = eqx.field(static=True)

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """Add rate x y^T / batch to the normalised W and normalise it again."""

        def changed(W: Array, lower: Array, upper: Array) -> Array:
            correlation = standardise(lower).T @ standardise(upper) / len(lower)
            return column_normalised(column_normalised(W) + self.rate * correlation)

        return phi.with_weights(x, changed)


def build(spec: Hebb, key: PRNGKeyArray) -> HebbRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return HebbRule(spec.rate)
