"""The rule of Bienenstock, Cooper and Munro (1982) with the threshold of Intrator and Cooper (1992)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import Weights
from metaplastic.update_rules.spec import Bcm
from metaplastic.update_rules.unit_norm import UnitNormRule


class BcmRule(UnitNormRule):
    """Units become selective: weights grow with activity above a threshold and shrink with activity below it.

    The threshold slides with the mean square activity. Weights keep their norm, and activity is relative to its mean.
    """

    def change(self, W: Weights, x: Float[Array, "batch lower"]) -> Weights:
        """Return the sum of dW = x phi(y)^T with phi(y) = y (y - E[y^2]) and y = max(W^T x, 0) / E[max(W^T x, 0)]."""
        y = jax.nn.relu(x @ W)
        y = y / jnp.maximum(y.mean(0), 1e-6)
        return x.T @ (y * (y - (y**2).mean(0)))


def build(spec: Bcm, key: PRNGKeyArray) -> BcmRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return BcmRule(spec.rate)
