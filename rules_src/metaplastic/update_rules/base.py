"""The interface of every rule, learned or hand-made."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from metaplastic.io.errors import InputError
from metaplastic.network import BaseModel
from metaplastic.update_rules import spec as config


class UpdateRule(eqx.Module):
    """A rule for changing a base model from unlabelled data alone; its array leaves are the meta-parameters theta."""

    @abc.abstractmethod
    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """One inner step: the base model after it has seen the unlabelled batch `x`."""


class MetaTrainable(UpdateRule):
    """A rule whose theta can be meta-trained."""

    @property
    @abc.abstractmethod
    def rate(self) -> Float[Array, ""]:
        """Size of an inner step, for whoever watches."""

    def with_precision(self, precision: config.Precision) -> "MetaTrainable":
        """The same rule with its update network, where it has one, in this precision."""
        return self


def check_fit(rule: config.Initial, base_model: config.BaseModel) -> None:
    """Let a base model pass that the rule can train.

    Raises:
        InputError: the rule's theta demands another number of features.
    """
    if isinstance(rule, config.Published) and rule.features != base_model.features:
        raise InputError(f"features: the rule demands {rule.features}, the base model has {base_model.features}")
