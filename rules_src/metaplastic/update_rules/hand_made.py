"""Rules without meta-parameters, behind the same interface as the learned ones: baselines for free."""

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Hebb, Identity, Oja
from metaplastic.update_rules.weight_change import column_normalised, standardise, unit_total_variance


class IdentityRule(UpdateRule):
    """No learning: the base model stays as it was drawn."""

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """Return `phi` unchanged."""
        return phi


class OjaRule(UpdateRule):
    """Oja's subspace rule (1989) in every layer: W spans the leading principal subspace of what the layer receives.

    The step is relative to the variance received, so one rate serves inputs of any number and scale.
    """

    rate: float = eqx.field(static=True)

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """W <- W + rate (x y^T - W y y^T) with y = W^T x, for centred x of unit total variance."""

        def changed(W: Array, lower: Array) -> Array:
            lower = unit_total_variance(lower)
            y = lower @ W
            return W + self.rate * (lower.T @ y - W @ (y.T @ y)) / len(lower)

        xs = phi.forward(x).xs
        layers = tuple(
            layer._replace(W=changed(layer.W, lower)) for layer, lower in zip(phi.layers, xs[:-1], strict=True)
        )
        return BaseModel(layers, phi.activation)


class HebbRule(UpdateRule):
    """Hebbian growth by the correlation of standardised activities below and above, weights kept column-normalised."""

    rate: float = eqx.field(static=True)

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """Add rate x y^T / batch to the normalised W and normalise it again."""

        def changed(W: Array, lower: Array, upper: Array) -> Array:
            correlation = standardise(lower).T @ standardise(upper) / len(lower)
            return column_normalised(column_normalised(W) + self.rate * correlation)

        xs = phi.forward(x).xs
        layers = tuple(
            layer._replace(W=changed(layer.W, lower, upper))
            for layer, lower, upper in zip(phi.layers, xs[:-1], xs[1:], strict=True)
        )
        return BaseModel(layers, phi.activation)


def build(spec: Oja | Hebb | Identity, key: PRNGKeyArray) -> UpdateRule:
    """The rule that `spec` names; nothing about it is random."""
    match spec:
        case Oja():
            return OjaRule(spec.rate)
        case Hebb():
            return HebbRule(spec.rate)
        case Identity():
            return IdentityRule()
