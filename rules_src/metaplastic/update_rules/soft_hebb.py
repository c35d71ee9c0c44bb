"""SoftHebb (Moraitis et al. 2022), a rule without meta-parameters."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import SoftHebb
from metaplastic.update_rules.terms import unit_columns, unit_examples


class SoftHebbRule(UpdateRule):
    """Units compete softly for an example, and learn it by their share of it."""

    rate: float = eqx.field(static=True)
    temperature: float = eqx.field(static=True)

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """W <- W + rate (x y^T - W diag(y u^T)) with u = W^T x and y = softmax(u / temperature)."""

        def changed(W: Array, lower: Array, upper: Array) -> Array:
            lower, W = unit_examples(lower), unit_columns(W)
            u = lower @ W
            y = jax.nn.softmax(u / self.temperature)
            return unit_columns(W + self.rate * (lower.T @ y - W * (u * y).sum(0)) / len(lower))

        return phi.with_weights(x, changed)


def build(spec: SoftHebb, key: PRNGKeyArray) -> SoftHebbRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return SoftHebbRule(spec.rate, spec.temperature)
