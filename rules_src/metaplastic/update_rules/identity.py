"""The rule that learns nothing: the baseline for every other rule."""

from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Identity


class IdentityRule(UpdateRule):
    """The base model stays as it was drawn."""

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """Return `phi` unchanged."""
        return phi


def build(spec: Identity, key: PRNGKeyArray) -> IdentityRule:
    """Return the rule."""
    return IdentityRule()
