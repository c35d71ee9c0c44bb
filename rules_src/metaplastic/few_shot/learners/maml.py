"""Model-agnostic meta-learning (Finn et al. 2017), as in CACTUs (Hsu et al. 2019, Table 5)."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.config.base import Downsample
from metaplastic.few_shot.learners.base import Outcome, Query, Scores, Support, Trainable, accuracy, cross_entropy
from metaplastic.few_shot.learners.networks import Network, check_poolable
from metaplastic.few_shot.spec import Maml

Fast = tuple[tuple[Array, ...], Array, Array]
"""The kernels, weights and bias that adapt to a task."""


class Inner(NamedTuple):
    """How a network adapts, the same for every task."""

    rate: float
    steps: int
    test_steps: int
    first_order: bool


class AdaptedNetwork(Trainable):
    """A network that adapts by a few steps of gradient descent on the support; batch norm is always that of the batch.

    The shifts of the batch norm are meta-learned but not adapted. An evaluation of fewer ways uses the first outputs.
    """

    network: Network
    weights: Float[Array, "feature way"]
    bias: Float[Array, " way"]
    inner: Inner = eqx.field(static=True)

    def outcome(self, support: Support, query: Query) -> Outcome:
        """Return loss and accuracy on the query after the inner steps, so that gradients are of second order."""
        scores = self.adapted(support, self.inner.steps).logits(query)
        return Outcome(cross_entropy(scores).mean(), accuracy(scores))

    def scores(self, support: Support, query: Query) -> Scores:
        """Return the query's logits after the inner steps of an evaluation; query examples share their batch norm."""
        return self.adapted(support, self.inner.test_steps).logits(query)

    def adapted(self, support: Support, steps: int) -> "AdaptedNetwork":
        """Return the network after this many steps on the support.

        The loss is summed over classes and averaged over shots, as in the released code, whose inner rate of 0.05 is
        one of 0.05 x way for a mean over all examples.
        """

        def loss(model: AdaptedNetwork) -> Float[Array, ""]:
            return cross_entropy(model.logits(support)).mean(1).sum()

        return self.descended(loss, way=len(support), steps=steps)

    def descended(
        self, loss: Callable[["AdaptedNetwork"], Float[Array, ""]], *, way: int, steps: int
    ) -> "AdaptedNetwork":
        """Return the network of the first `way` outputs after this many steps down a loss of it."""

        def step(fast: Fast, _: None) -> tuple[Fast, None]:
            gradient = jax.grad(lambda fast: loss(self._with(fast)))(fast)
            if self.inner.first_order:
                gradient = jax.lax.stop_gradient(gradient)
            return jax.tree.map(lambda value, slope: value - self.inner.rate * slope, fast, gradient), None

        first = (self.network.kernels, self.weights[:, :way], self.bias[:way])
        return self._with(jax.lax.scan(step, first, length=steps)[0])

    def logits(self, examples: Float[Array, "way examples input"]) -> Float[Array, "way examples class_"]:
        """Return the logits of the network as it is."""
        features, _ = self.network.features(examples.reshape(-1, examples.shape[2]))
        return (features @ self.weights + self.bias).reshape(*examples.shape[:2], -1)

    def _with(self, fast: Fast) -> "AdaptedNetwork":
        return eqx.tree_at(lambda model: (model.network.kernels, model.weights, model.bias), self, fast)


def initial(spec: Maml, key: PRNGKeyArray, image: tuple[int, int, int]) -> AdaptedNetwork:
    """Return the learner before the first step; raise InputError if pooling leaves nothing of images this small."""
    check_poolable(image, spec.smallest)
    inner = Inner(spec.inner_rate, spec.inner_steps, spec.test_inner_steps, spec.first_order)
    return random_network(key, image, spec.filters, spec.tasks.way, inner, head=spec.head, blocks=spec.downsample)


def random_network(
    key: PRNGKeyArray,
    image: tuple[int, int, int],
    filters: int,
    way: int,
    inner: Inner,
    *,
    head: float = 1.0,
    blocks: Downsample = "stride",
) -> AdaptedNetwork:
    """Return a network at random weights; those of the last layer are normal with standard deviation `head`."""
    key_network, key_weights = jax.random.split(key)
    network = Network(key_network, image, filters, blocks, scaled=False)
    weights = head * jax.random.normal(key_weights, (network.width, way))
    return AdaptedNetwork(network, weights, jnp.zeros(way), inner)
