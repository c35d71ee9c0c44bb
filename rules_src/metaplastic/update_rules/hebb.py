"""Hebbian learning with normalised weights, a rule without meta-parameters."""

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import Weights, standardise
from metaplastic.update_rules.base import LayerwiseRule
from metaplastic.update_rules.spec import Hebb
from metaplastic.update_rules.terms import column_normalised


class HebbRule(LayerwiseRule):
    """Weights grow with the correlation of standardised activities below and above, and stay column-normalised."""

    rate: float = eqx.field(static=True)

    def changed(self, W: Weights, lower: Float[Array, "batch lower"], upper: Float[Array, "batch upper"]) -> Weights:
        """Add rate x y^T / batch to the normalised W and normalise it again."""
        correlation = standardise(lower).T @ standardise(upper) / len(lower)
        return column_normalised(column_normalised(W) + self.rate * correlation)


def build(spec: Hebb, key: PRNGKeyArray) -> HebbRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return HebbRule(spec.rate)
