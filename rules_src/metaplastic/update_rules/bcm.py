"""The rule of Bienenstock, Cooper and Munro (1982) with the threshold of Intrator and Cooper (1992)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Bcm
from metaplastic.update_rules.terms import unit_columns, unit_examples


class BcmRule(UpdateRule):
    """Units become selective: weights grow with activity above a threshold and shrink with activity below it.

    The threshold slides with the mean square activity. Weights keep their norm, and activity is relative to its mean.
    """

    rate: float = eqx.field(static=True)

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """W <- W + rate x phi(y)^T with phi(y) = y (y - E[y^2]) and y = max(W^T x, 0) / E[max(W^T x, 0)]."""

        def changed(W: Array, lower: Array, upper: Array) -> Array:
            lower, W = unit_examples(lower), unit_columns(W)
            y = jax.nn.relu(lower @ W)
            y = y / jnp.maximum(y.mean(0), 1e-6)
            return unit_columns(W + self.rate * lower.T @ (y * (y - (y**2).mean(0))) / len(lower))

        return phi.with_weights(x, changed)


def build(spec: Bcm, key: PRNGKeyArray) -> BcmRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return BcmRule(spec.rate)
