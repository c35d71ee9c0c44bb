"""Learners trained on pseudo-tasks drawn on the fly, on the one resumable loop."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Float, Float32, Int, Key, PRNGKeyArray

from rules_src.config.learners import MetaLearned
from rules_src.config.training import Keep
from rules_src.errors import InputError
from rules_src.learners.base import Outcome, Trainable
from rules_src.tasks.augmentation import augmented
from rules_src.tasks.episodes import Pool, draw
from rules_src.training.progress import shown
from rules_src.training.run import Folder, resumed
from rules_src.training.state import load_state, save_state, state_path

Initial = Callable[[Any, PRNGKeyArray, tuple[int, int, int]], Trainable]


class State(NamedTuple):
    """Everything that the next gradient step depends on."""

    learner: Trainable
    optimiser: optax.OptState
    key: Key[Array, ""]
    step: Int[Array, ""]


class Progress(NamedTuple):
    """A training after a dispatch of gradient steps."""

    state: State
    loss: Float[Array, " update"]
    accuracy: Float[Array, " update"]


class MetaLearning:
    """A `training.run.Run` of Adam on batches of tasks, all of which follow from the seed and the step."""

    unit = "steps"
    growing: Mapping[str, str] = {"update": "update"}

    def __init__(
        self,
        initial: Initial,
        spec: MetaLearned,
        inputs: Float32[np.ndarray, "example input"],
        image: tuple[int, int, int],
        pool: Pool,
        folder: Folder,
    ) -> None:
        self.make, self.spec, self.image, self.pool, self.folder = initial, spec, image, pool, folder
        self.inputs = jnp.asarray(inputs)
        self.steps, self.dispatch = spec.steps[-1], spec.every
        self.adam = optax.adam(spec.learning_rate)

    def initial(self) -> State:
        """The state before the first gradient step."""
        key = jax.random.key(self.spec.seed)
        learner = self.make(self.spec, jax.random.fold_in(key, 0), self.image)
        return State(learner, self.adam.init(learner), key, jnp.zeros((), jnp.int32))

    def items(self, start: State | None) -> Iterator[Progress]:
        """As `Run.items`."""
        state = start or jax.jit(self.initial)()
        yield Progress(state, jnp.zeros(0), jnp.zeros(0))
        while (done := self.step(state)) < self.steps:
            count = min(self.dispatch, self.steps - done)
            state, outcomes = self._dispatched(state, self.inputs, self.pool, count)
            yield Progress(state, outcomes.loss, outcomes.accuracy)

    @eqx.filter_jit
    def _dispatched(self, state: State, inputs: Array, pool: Pool, count: int) -> tuple[State, Outcome]:
        return jax.lax.scan(lambda s, _: self._step(s, inputs, pool), state, length=count)

    def _step(self, state: State, inputs: Array, pool: Pool) -> tuple[State, Outcome]:
        key = jax.random.fold_in(jax.random.fold_in(state.key, 1), state.step)

        def of_task(key: PRNGKeyArray) -> tuple[Trainable, Outcome]:
            support, query = self._shown(key, inputs, pool)

            def loss(learner: Trainable) -> tuple[Array, Outcome]:
                outcome = learner.outcome(support, query)
                return outcome.loss, outcome

            gradient, outcome = jax.grad(loss, has_aux=True)(state.learner)
            return gradient, outcome

        # One task after another: each is a batch large enough, and adapted networks have weights of their own.
        gradients, outcomes = jax.lax.map(of_task, jax.random.split(key, self.spec.task_batch))
        gradient, outcome = jax.tree.map(lambda values: values.mean(0), (gradients, outcomes))
        updates, optimiser = self.adam.update(gradient, state.optimiser)
        learner = optax.apply_updates(state.learner, updates).settled(outcome.seen)
        return State(learner, optimiser, state.key, state.step + 1), outcome._replace(seen=())

    def _shown(self, key: PRNGKeyArray, inputs: Array, pool: Pool) -> tuple[Array, Array]:
        """The images of a task's support and query."""
        key_draw, key_support, key_query = jax.random.split(key, 3)
        episode, jitter = draw(key_draw, pool, self.spec.tasks), self.spec.jitter
        support, query = inputs[episode.support], inputs[episode.query]
        if jitter is None:
            return support, query

        def jittered(key: PRNGKeyArray, images: Array) -> Array:
            return augmented(key, images.reshape(-1, *self.image), jitter).reshape(images.shape)

        return jittered(key_support, support), jittered(key_query, query)

    def step(self, state: State) -> int:
        """Gradient steps so far."""
        return int(state.step)

    def history(self, item: Progress) -> xr.Dataset:
        """Loss and accuracy on the queries of every gradient step's tasks."""
        done, count = self.step(item.state), len(item.loss)
        return xr.Dataset(
            {"loss": ("update", np.asarray(item.loss)), "accuracy": ("update", np.asarray(item.accuracy))},
            coords={"update": np.arange(done - count, done) + 1},
        )

    def snapshot(self, item: Progress, path: Path) -> None:
        """The learner, where it is to be recorded."""
        if self.step(item.state) in self.spec.steps:
            save_state(item.state.learner, path, self.folder.record)

    def summary(self, item: Progress) -> str:
        """Means over the last dispatch."""
        if not len(item.loss):
            return "start"
        return f"loss {float(item.loss.mean()):.4g}, accuracy {float(item.accuracy.mean()):.1%}"


def meta_learn(training: MetaLearning, keep: Keep) -> None:
    """Train until its end, from where its folder has come to.

    Raises:
        InputError: the loss has become infinite, or as for `training.run.resumed`.
    """
    for item in shown(resumed(training, training.folder, keep), training):
        if not np.isfinite(item.loss).all():
            rate = training.spec.learning_rate
            raise InputError(f"learning_rate: at {rate} the loss has become infinite; give less")


def recorded(initial: Initial, spec: MetaLearned, image: tuple[int, int, int], snapshots: Path, step: int) -> Trainable:
    """The learner as a training has recorded it in its folder of snapshots after so many steps.

    Raises:
        InputError: as for `training.state.load_state`.
    """
    return load_state(state_path(snapshots, step), jax.eval_shape(lambda: initial(spec, jax.random.key(0), image)))
