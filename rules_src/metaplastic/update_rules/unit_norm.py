"""What rules have in common whose units keep weights of unit norm and see examples of unit norm."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from metaplastic.network import Weights, of_unit_length, standardise
from metaplastic.update_rules.base import LayerwiseRule


class UnitNormRule(LayerwiseRule):
    """W <- W + rate E[dW] in every layer, with examples and the weights of each unit scaled to unit norm before."""

    rate: float = eqx.field(static=True)

    @abc.abstractmethod
    def change(self, W: Weights, x: Float[Array, "batch lower"]) -> Weights:
        """Return the change of a layer's weights, summed over the examples below it."""

    def changed(self, W: Weights, lower: Float[Array, "batch lower"], upper: Float[Array, "batch upper"]) -> Weights:
        """Take the step, and scale the weights of each unit to unit norm again."""
        # Units are standardised over the batch, then examples scaled to unit norm.
        lower, W = of_unit_length(standardise(lower)), of_unit_length(W, axis=0)
        return of_unit_length(W + self.rate * self.change(W, lower) / len(lower), axis=0)


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
