"""Sanger's rule (1989), the generalised Hebbian algorithm, a rule without meta-parameters."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.update_rules.oja import OjaRule
from metaplastic.update_rules.spec import Sanger


class SangerRule(OjaRule):
    """Oja's rule in order: each unit comes to find the principal component that those before it have left."""

    def feedback(self, products: Float[Array, "unit unit"]) -> Float[Array, "unit unit"]:
        """Return triu(y y^T): a unit takes from those after it alone."""
        return jnp.triu(products)


def build(spec: Sanger, key: PRNGKeyArray) -> SangerRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return SangerRule(spec.rate)
