"""What rules have in common whose units keep weights of unit norm and see examples of unit norm."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from metaplastic.network import BaseModel, of_unit_length
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.terms import Weights, standardise


class UnitNormRule(UpdateRule):
    """W <- W + rate E[dW] in every layer, with examples and the weights of each unit scaled to unit norm before."""

    rate: float = eqx.field(static=True)

    @abc.abstractmethod
    def change(self, W: Weights, x: Float[Array, "batch lower"]) -> Weights:
        """Return the change of a layer's weights, summed over the examples below it."""

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """Take the step, and scale the weights of each unit to unit norm again."""

        def changed(W: Array, lower: Array, upper: Array) -> Array:
            lower, W = unit_examples(lower), of_unit_length(W, axis=0)
            return of_unit_length(W + self.rate * self.change(W, lower) / len(lower), axis=0)

        return phi.with_weights(x, changed)


class CompetitiveRule(UnitNormRule):
    """Units share an example out among them, and each moves towards it by its share: dW = x y^T - W diag(y u^T)."""

    @abc.abstractmethod
    def shares(self, u: Float[Array, "batch unit"]) -> Float[Array, "batch unit"]:
        """Return the share y of each unit in each example, by the units' inputs u = W^T x."""

    def change(self, W: Weights, x: Float[Array, "batch lower"]) -> Weights:
        """Return the sum of dW."""
        u = x @ W
        y = self.shares(u)
        return x.T @ y - W * (y * u).sum(0)


def unit_examples(x: Float[Array, "batch unit"]) -> Float[Array, "batch unit"]:
    """Standardise units over the batch, then scale each example to unit norm."""
    return of_unit_length(standardise(x))
