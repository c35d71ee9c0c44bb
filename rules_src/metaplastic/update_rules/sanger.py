"""Sanger's rule (1989), the generalised Hebbian algorithm, a rule without meta-parameters."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Sanger
from metaplastic.update_rules.terms import unit_total_variance


class SangerRule(UpdateRule):
    """Oja's rule in order: each unit comes to find the principal component that those before it have left."""

    rate: float = eqx.field(static=True)

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """W <- W + rate (x y^T - W triu(y y^T)) with y = W^T x, for centred x of unit total variance."""

        def changed(W: Array, lower: Array, upper: Array) -> Array:
            lower = unit_total_variance(lower)
            y = lower @ W
            return W + self.rate * (lower.T @ y - W @ jnp.triu(y.T @ y)) / len(lower)

        return phi.with_weights(x, changed)


def build(spec: Sanger, key: PRNGKeyArray) -> SangerRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return SangerRule(spec.rate)
