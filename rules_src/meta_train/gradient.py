"""Estimators of the meta-gradient: of the meta-objective after a window of inner steps, with respect to theta."""

from typing import NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rules_src.base_model import BaseModel
from rules_src.config.meta_train import MetaTrain
from rules_src.meta_objective import meta_objective
from rules_src.meta_train.truncation import TaskState
from rules_src.tasks.letters import Glyphs, sample_labelled, sample_unlabelled
from rules_src.update_rules.base import UpdateRule


class Window(NamedTuple):
    """Data that a batch of tasks sees in one window."""

    unlabelled: Float[Array, "task step batch input"]
    images: Float[Array, "task 2 example input"]
    """Labelled examples for fitting and for scoring the readout."""
    targets: Float[Array, "task 2 example class_"]


@runtime_checkable
class GradientEstimator(Protocol):
    """Estimates the meta-gradient over a batch of tasks and carries their base models to the window's end."""

    def __call__(
        self, rule: UpdateRule, states: TaskState, window: Window
    ) -> tuple[UpdateRule, TaskState, Float[Array, " task"]]:
        """Return the gradient (shaped like `rule`), the states after the window and each task's loss."""


def sample_window(key: PRNGKeyArray, states: TaskState, glyphs: Glyphs, spec: MetaTrain) -> Window:
    """Draw fresh data for every task in `states`."""

    def sample(key: PRNGKeyArray, state: TaskState) -> Window:
        key_unlabelled, *keys_labelled = jax.random.split(key, 3)
        shape = (spec.unroll.truncation, spec.batch)
        batches = [sample_labelled(k, state.task, glyphs, spec.tasks, spec.labelled) for k in keys_labelled]
        images, targets = (jnp.stack(part) for part in zip(*batches, strict=True))
        return Window(sample_unlabelled(key_unlabelled, state.task, glyphs, spec.tasks, shape), images, targets)

    return jax.vmap(sample)(jax.random.split(key, spec.parallel_tasks), states)


def truncated_backprop(ridge: float) -> GradientEstimator:
    """Backpropagation through the window alone: the base models that enter it count as constants."""

    def unroll_loss(rule: UpdateRule, phi: BaseModel, window: Window) -> tuple[Float[Array, ""], BaseModel]:
        phi = unroll(rule, phi, window.unlabelled)
        # One pass over both batches, so that they share their batch-norm statistics.
        features_a, features_b = jnp.split(phi.features(jnp.concatenate(list(window.images))), 2)
        loss = meta_objective(features_a, window.targets[0], features_b, window.targets[1], ridge=ridge)
        return loss, phi

    def mean_loss(
        rule: UpdateRule, states: TaskState, window: Window
    ) -> tuple[Float[Array, ""], tuple[BaseModel, Float[Array, " task"]]]:
        losses, phis = jax.vmap(unroll_loss, in_axes=(None, 0, 0))(rule, states.phi, window)
        return losses.mean(), (phis, losses)

    def estimate(
        rule: UpdateRule, states: TaskState, window: Window
    ) -> tuple[UpdateRule, TaskState, Float[Array, " task"]]:
        gradient, (phis, losses) = eqx.filter_grad(mean_loss, has_aux=True)(rule, states, window)
        steps = window.unlabelled.shape[1]
        return gradient, states._replace(phi=phis, age=states.age + steps), losses

    return estimate


def unroll(rule: UpdateRule, phi: BaseModel, batches: Float[Array, "step batch input"]) -> BaseModel:
    """Apply the rule to one batch after another, storing only the base models in between for backpropagation."""

    @jax.checkpoint
    def inner_step(phi: BaseModel, x: Array) -> tuple[BaseModel, None]:
        return rule.update(phi, x), None

    return jax.lax.scan(inner_step, phi, batches)[0]
