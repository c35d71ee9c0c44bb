"""A multilayer perceptron with dropout on the support, a baseline of Hsu et al. 2019."""

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.base import Unlabelled
from metaplastic.embeddings.networks import DenseLayers
from metaplastic.few_shot.learners.base import Query, Scores, Scoring, Support, cross_entropy
from metaplastic.few_shot.spec import Mlp

Trained = tuple[DenseLayers, optax.OptState]


class EachPerceptron(Scoring):
    """A fresh network for every episode; equal sizes give equal initial weights."""

    spec: Mlp = eqx.field(static=True)

    def scores(self, support: Support, query: Query) -> Scores:
        """Return logits without dropout, after full-batch Adam on the support."""
        way, _, width = support.shape
        key = jax.random.key(self.spec.seed)
        network = DenseLayers(jax.random.fold_in(key, 0), [width, self.spec.hidden, way], "relu")
        adam = optax.adam(self.spec.learning_rate)

        def loss(network: DenseLayers, key: PRNGKeyArray) -> Float[Array, ""]:
            return cross_entropy(self._logits(network, support, key)).mean()

        def step(state: Trained, key: PRNGKeyArray) -> tuple[Trained, None]:
            network, optimiser = state
            updates, optimiser = adam.update(jax.grad(loss)(network, key), optimiser)
            return (optax.apply_updates(network, updates), optimiser), None

        keys = jax.random.split(jax.random.fold_in(key, 1), self.spec.steps)
        (network, _), _ = jax.lax.scan(step, (network, adam.init(network)), keys)
        return self._logits(network, query)

    def _logits(
        self, network: DenseLayers, examples: Float[Array, "way example input"], key: PRNGKeyArray | None = None
    ) -> Float[Array, "way example class_"]:
        first, last = network.layers
        dropout = eqx.nn.Dropout(self.spec.dropped, inference=key is None)
        hidden = dropout(jax.nn.relu(jax.vmap(jax.vmap(first))(examples)), key=key)
        return jax.vmap(jax.vmap(last))(hidden)


def fit(spec: Mlp, data: Unlabelled) -> EachPerceptron:
    """Return the learner; it learns nothing from `data`."""
    return EachPerceptron(spec)
