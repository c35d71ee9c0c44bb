"""The interface of update rules."""

import abc
import dataclasses

import equinox as eqx
from jaxtyping import Array, Float

from metaplastic.io.errors import InputError
from metaplastic.network import BaseModel, Weights
from metaplastic.update_rules import spec as config


class UpdateRule(eqx.Module):
    """A rule that changes a base model from unlabelled data alone; its array leaves are the meta-parameters theta."""

    @abc.abstractmethod
    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """Take one inner step: return the base model after it has seen the unlabelled batch `x`."""


class LayerwiseRule(UpdateRule):
    """A rule that changes each layer's weights by the layer's own activities; biases and V stay as they were drawn."""

    @abc.abstractmethod
    def changed(self, W: Weights, lower: Float[Array, "batch lower"], upper: Float[Array, "batch upper"]) -> Weights:
        """Return the new weights of a layer, whose inputs are `lower` and whose activations are `upper`."""

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """Take one inner step: change the weights of every layer."""
        xs = phi.forward(x).xs
        weights = map(self.changed, [layer.W for layer in phi.layers], xs[:-1], xs[1:])
        layers = tuple(layer._replace(W=W) for layer, W in zip(phi.layers, weights, strict=True))
        return BaseModel(layers, phi.activation)


class MetaTrainable(UpdateRule):
    """A rule whose theta can be meta-trained."""

    precision: config.Precision = eqx.field(static=True, default="float32", kw_only=True)
    """Precision of its update network, if it has one; everything else keeps the precision of its inputs."""

    @property
    @abc.abstractmethod
    def rate(self) -> Float[Array, ""]:
        """Size of an inner step, for the record of meta-training."""

    def with_precision(self, precision: config.Precision) -> "MetaTrainable":
        """Return the same rule with its update network in this precision."""
        return self if precision == self.precision else dataclasses.replace(self, precision=precision)


def check_fit(rule: config.Initial, base_model: config.BaseModel) -> None:
    """Raise InputError if the rule's theta demands another number of features than the base model has."""
    demanded, features = rule.demanded_features, base_model.features
    if demanded not in {None, features}:
        raise InputError(f"features: the rule demands {demanded}, the base model has {features}")
