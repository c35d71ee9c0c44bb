"""Competing hidden units (Krotov and Hopfield 2019), a rule without meta-parameters."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.update_rules.spec import Competing
from metaplastic.update_rules.unit_norm import CompetitiveRule


class CompetingRule(CompetitiveRule):
    """The unit with the largest input moves towards the example, the one of rank `rank` moves away from it."""

    rank: int = eqx.field(static=True)
    repulsion: float = eqx.field(static=True)

    def shares(self, u: Float[Array, "batch unit"]) -> Float[Array, "batch unit"]:
        """Return 1, -repulsion or 0 by rank (equation 3, p = 2)."""
        units = u.shape[1]
        ranked = jax.lax.top_k(u, min(self.rank, units))[1].T
        repulsion = self.repulsion if len(ranked) > 1 else 0.0
        return jax.nn.one_hot(ranked[0], units) - repulsion * jax.nn.one_hot(ranked[-1], units)


def build(spec: Competing, key: PRNGKeyArray) -> CompetingRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return CompetingRule(spec.rate, spec.rank, spec.repulsion)
