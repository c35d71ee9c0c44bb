"""Train a learner on pseudo-tasks drawn on the fly, in the one resumable loop."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float32, Int, Key, PRNGKeyArray

from metaplastic.few_shot.episodes import Pool, draw
from metaplastic.few_shot.learners.base import Outcome, Trainable
from metaplastic.few_shot.spec import MetaLearned
from metaplastic.meta_train.tasks.appearance import augmented
from metaplastic.meta_train.tasks.source import Jitter
from metaplastic.training.checkpoint import load_state, state_path
from metaplastic.training.descent import Descent, Metrics, State
from metaplastic.training.loop import Folder
from metaplastic.training.sharding import on_each_device

Initial = Callable[[Any, PRNGKeyArray, tuple[int, int, int]], Trainable]


class MetaLearning(Descent):
    """Adam on batches of tasks; the seed and the step determine them. Its data are the inputs and their pool."""

    spec: MetaLearned

    def __init__(
        self,
        initial: Initial,
        spec: MetaLearned,
        inputs: Float32[np.ndarray, "example input"],
        image: tuple[int, int, int],
        pool: Pool,
        folder: Folder,
    ) -> None:
        super().__init__(spec, (jnp.asarray(inputs), pool), folder)
        self.make, self.image, self.adam = initial, image, optax.adam(spec.learning_rate)

    def initial(self) -> State:
        """Return the state before the first gradient step."""
        key = jax.random.key(self.spec.seed)
        learner = self.make(self.spec, jax.random.fold_in(key, 0), self.image)
        return State(learner, self.adam.init(learner), key, jnp.zeros((), jnp.int32))

    def updated(self, state: State, data: tuple[Array, Pool]) -> tuple[State, Metrics]:
        """Return the next state, and loss and accuracy on the queries as means over the batch of tasks."""
        key = jax.random.fold_in(jax.random.fold_in(state.key, 1), state.step)

        def of_tasks(keys: Key[Array, " task"], learner: Trainable, *data: Any) -> tuple[Trainable, Outcome]:
            def of_task(key: PRNGKeyArray) -> tuple[Trainable, Outcome]:
                support, query = self._shown(key, *data)

                def loss(learner: Trainable) -> tuple[Array, Outcome]:
                    outcome = learner.outcome(support, query)
                    return outcome.loss, outcome

                return jax.grad(loss, has_aux=True)(learner)

            # One after another, since each is a large enough batch and adapted networks have weights of their own.
            return jax.lax.map(of_task, keys)

        keys = jax.random.split(key, self.spec.task_batch)
        gradients, outcomes = on_each_device(of_tasks)(keys, state.network, *data)
        gradient, outcome = jax.tree.map(lambda values: values.mean(0), (gradients, outcomes))
        updates, optimiser = self.adam.update(gradient, state.optimiser)
        if self.spec.halved:
            updates = optax.tree.scale(0.5 ** (state.step >= jnp.array(self.spec.halved)).sum(), updates)
        learner = optax.apply_updates(state.network, updates).settled(outcome.seen)
        metrics = {"loss": outcome.loss, "accuracy": outcome.accuracy}
        return State(learner, optimiser, state.key, state.step + 1), metrics

    def no_metrics(self, state: State) -> Metrics:
        """As `Descent.no_metrics`, without tracing, which takes up to a second for gradients of second order."""
        return {"loss": jnp.zeros(0), "accuracy": jnp.zeros(0)}

    def _shown(self, key: PRNGKeyArray, inputs: Array, pool: Pool) -> tuple[Array, Array]:
        key_draw, key_support, key_query = jax.random.split(key, 3)
        episode, jitter = draw(key_draw, pool, self.spec.tasks), self.spec.jitter
        quarters = jax.random.randint(jax.random.fold_in(key, 3), (self.spec.tasks.way,), 0, 4)

        def shown(key: PRNGKeyArray, examples: Array) -> Array:
            images = inputs[examples].reshape(*examples.shape, *self.image)
            if self.spec.turned:
                images = jax.vmap(_turned)(images, quarters)
            if jitter is not None:
                images = augmented(key, images.reshape(-1, *self.image), Jitter(**dict(jitter)))
            return images.reshape(*examples.shape, -1)

        return shown(key_support, episode.support), shown(key_query, episode.query)


def _turned(images: Float32[Array, "image side side channel"], quarters: Int[Array, ""]) -> Array:
    """Turn images by so many quarters of a circle, 0 to 3."""
    turns = [partial(jnp.rot90, k=quarter, axes=(1, 2)) for quarter in range(4)]
    return jax.lax.switch(quarters, turns, images)


def recorded(initial: Initial, spec: MetaLearned, image: tuple[int, int, int], snapshots: Path, step: int) -> Trainable:
    """Load the learner that a training recorded after this many steps; raise InputError as `load_state` does."""
    return load_state(state_path(snapshots, step), jax.eval_shape(lambda: initial(spec, jax.random.key(0), image)))
