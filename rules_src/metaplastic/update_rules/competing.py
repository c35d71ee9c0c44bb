"""Competing hidden units (Krotov and Hopfield 2019), a rule without meta-parameters."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Competing
from metaplastic.update_rules.terms import unit_columns, unit_examples


class CompetingRule(UpdateRule):
    """The unit with the largest input moves towards the example, the one of rank `rank` moves away from it."""

    rate: float = eqx.field(static=True)
    rank: int = eqx.field(static=True)
    repulsion: float = eqx.field(static=True)

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """W <- W + rate (x g^T - W diag(g u^T)) with u = W^T x (equation 3, p = 2); g is 1, -repulsion or 0 by rank."""

        def changed(W: Array, lower: Array, upper: Array) -> Array:
            lower, W = unit_examples(lower), unit_columns(W)
            u = lower @ W
            first, *_, last = jax.lax.top_k(u, min(self.rank, W.shape[1]))[1].T
            g = jax.nn.one_hot(first, W.shape[1]) - self.repulsion * jax.nn.one_hot(last, W.shape[1])
            return unit_columns(W + self.rate * (lower.T @ g - W * (g * u).sum(0)) / len(lower))

        return phi.with_weights(x, changed)


def build(spec: Competing, key: PRNGKeyArray) -> CompetingRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return CompetingRule(spec.rate, spec.rank, spec.repulsion)
