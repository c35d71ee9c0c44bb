"""The interface of every rule, learned or hand-made."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from rules_src.base_model import BaseModel


class UpdateRule(eqx.Module):
    """A rule for changing a base model from unlabelled data alone; its array leaves are the meta-parameters theta."""

    @abc.abstractmethod
    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """One inner step: the base model after it has seen the unlabelled batch `x`."""
