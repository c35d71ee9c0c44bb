"""SoftHebb (Moraitis et al. 2022), a rule without meta-parameters."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.update_rules.spec import SoftHebb
from metaplastic.update_rules.unit_norm import CompetitiveRule


class SoftHebbRule(CompetitiveRule):
    """Units compete softly for an example, and learn it by their share of it."""

    temperature: float = eqx.field(static=True)

    def shares(self, u: Float[Array, "batch unit"]) -> Float[Array, "batch unit"]:
        """Return softmax(u / temperature)."""
        return jax.nn.softmax(u / self.temperature)


def build(spec: SoftHebb, key: PRNGKeyArray) -> SoftHebbRule:
    """Return the rule that `spec` describes; nothing about it is random."""
    return SoftHebbRule(spec.rate, spec.temperature)
