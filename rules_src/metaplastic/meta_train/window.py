"""Windows of the inner loop: tasks in progress, what they see in a window, and their loss over it.

A task sees one window of inner steps (the truncation) at a time until it reaches its own total; then it is replaced.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.meta_train.objective import meta_objective
from metaplastic.meta_train.tasks.mixture import every_class, random_classes, regression_targets, show
from metaplastic.meta_train.tasks.source import Setting, Source
from metaplastic.network import BaseModel, initial_base_model
from metaplastic.update_rules.base import UpdateRule


class Totals(NamedTuple):
    """Bounds of the inner steps after which a task is replaced; the section `Unroll` of the config describes them."""

    shortest: int
    longest: int
    longest_at_first: int | None = None
    growth: int = 1000


class Group(NamedTuple):
    """What the parallel tasks of one base model have in common; for its numbers see `MetaTrain` of the config."""

    widths: list[int]
    """Units of the input and of every layer above it."""
    activations: Sequence[str]
    """Keys of `ACTIVATIONS`, of which every base model draws one."""
    setting: Setting
    batch: int
    labelled: int
    shares: Mapping[str, int]
    """Parallel tasks from each source."""

    @property
    def tasks(self) -> int:
        """Number of parallel tasks."""
        return sum(self.shares.values())


class TaskState(NamedTuple):
    """One task and the base model that is learning it."""

    task: PRNGKeyArray
    """Key from which everything that stays the same within the task is drawn."""
    phi: BaseModel
    age: Int[Array, ""]
    """Inner steps done."""
    total: Int[Array, ""]
    """Inner steps after which the task is replaced."""


class Window(NamedTuple):
    """Data that a batch of tasks sees in one window."""

    unlabelled: Float[Array, "task step batch input"]
    images: Float[Array, "task 2 example input"]
    """Labelled examples for fitting and for scoring the readout."""
    targets: Float[Array, "task 2 example target"]


WindowLoss = Callable[[UpdateRule, BaseModel, Window], tuple[Float[Array, ""], BaseModel]]
"""Returns one task's loss over a window, and its base model at the window's end."""


def new_tasks(key: PRNGKeyArray, group: Group, totals: Totals) -> TaskState:
    """Draw fresh tasks for a group, with randomly initialised base models."""

    def new_task(key: PRNGKeyArray) -> TaskState:
        key_task, key_phi, key_total = jax.random.split(key, 3)
        phi = initial_base_model(key_phi, group.widths, *group.activations)
        return TaskState(key_task, phi, jnp.zeros((), jnp.int32), sample_total(key_total, totals))

    tasks: TaskState = eqx.filter_vmap(new_task)(jax.random.split(key, group.tasks))
    return tasks


def sample_total(key: PRNGKeyArray, totals: Totals) -> Int[Array, ""]:
    """Draw a total of inner steps, log-uniform between the shortest and the longest."""
    low, high = jnp.log(totals.shortest), jnp.log(totals.longest)
    return jnp.round(jnp.exp(jax.random.uniform(key, minval=low, maxval=high))).astype(jnp.int32)


def largest_total(meta_step: Int[Array, ""], totals: Totals) -> Float[Array, ""]:
    """Return the upper bound at a meta-step: grown geometrically from `longest_at_first`, or always `longest`."""
    first = totals.longest_at_first or totals.longest
    progress = jnp.minimum(meta_step / totals.growth, 1.0)
    return first * (totals.longest / first) ** progress


def shortened(total: Int[Array, "*task"], longest: Float[Array, ""], totals: Totals) -> Int[Array, "*task"]:
    """Rescale log-uniform totals so that the largest is `longest` instead of `totals.longest`."""
    if totals.longest_at_first is None:
        return total
    share = jnp.log(total / totals.shortest) / jnp.log(totals.longest / totals.shortest)
    return jnp.round(totals.shortest * (longest / totals.shortest) ** share).astype(jnp.int32)


def staggered_tasks(key: PRNGKeyArray, group: Group, totals: Totals) -> TaskState:
    """Draw the tasks of a group, at random ages, so that they are replaced at different times."""
    key_task, key_age = jax.random.split(key)
    states = new_tasks(key_task, group, totals)
    total = shortened(states.total, largest_total(jnp.zeros((), jnp.int32), totals), totals)
    ages = jax.random.uniform(key_age, (group.tasks,)) * total
    return states._replace(age=ages.astype(jnp.int32), total=total)


def replace_finished(
    key: PRNGKeyArray, states: TaskState, group: Group, totals: Totals, longest: Float[Array, ""]
) -> TaskState:
    """Replace every task that has reached its total by a fresh one, whose own total is at most `longest`."""
    fresh = new_tasks(key, group, totals)
    fresh = fresh._replace(total=shortened(fresh.total, longest, totals))
    finished = states.age >= states.total

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(finished.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, fresh, states)


def sample_window(
    key: PRNGKeyArray, states: TaskState, sources: Mapping[str, Source], group: Group, truncation: int
) -> Window:
    """Draw fresh data for every task of a group; neighbouring tasks are from one source."""
    shape, setting = (truncation, group.batch), group.setting
    labelled = jnp.tile(every_class(group.labelled, setting), 2)

    def sample(source: Source, key: PRNGKeyArray, task: PRNGKeyArray) -> Window:
        key_classes, key_show = jax.random.split(key)
        unlabelled = random_classes(key_classes, math.prod(shape), setting)
        shown = show(key_show, task, source, jnp.concatenate([unlabelled, labelled]), setting)
        batches, images = jnp.split(shown.inputs, [len(unlabelled)])
        targets = regression_targets(labelled, shown.coefficients[len(unlabelled) :], setting)
        return Window(batches.reshape(*shape, -1), *(a.reshape(2, -1, a.shape[1]) for a in (images, targets)))

    keys, first, windows = jax.random.split(key, group.tasks), 0, []
    for name, count in group.shares.items():
        slots = slice(first, first + count)
        windows.append(jax.vmap(partial(sample, sources[name]))(keys[slots], states.task[slots]))
        first += count
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *windows)


def window_loss(*, ridge: float, objective_every: int | None = None, rematerialise: bool = True) -> WindowLoss:
    """Return the loss of a window: the meta-objective at its end, or its mean over every `objective_every`-th step."""

    def objective(phi: BaseModel, window: Window) -> Float[Array, ""]:
        # One pass over both batches, so that they share their batch-norm statistics.
        features_a, features_b = jnp.split(phi.features(jnp.concatenate(list(window.images))), 2)
        return meta_objective(features_a, window.targets[0], features_b, window.targets[1], ridge=ridge)

    def loss(rule: UpdateRule, phi: BaseModel, window: Window) -> tuple[Float[Array, ""], BaseModel]:
        def stretch(phi: BaseModel, batches: Array) -> tuple[BaseModel, Array]:
            phi = unroll(rule, phi, batches, rematerialise=rematerialise)
            return phi, objective(phi, window)

        steps = len(window.unlabelled)
        if not objective_every or objective_every == steps:
            phi, last = stretch(phi, window.unlabelled)
            return last, phi
        stretches = window.unlabelled.reshape(-1, objective_every, *window.unlabelled.shape[1:])
        phi, losses = jax.lax.scan(stretch, phi, stretches)
        return losses.mean(), phi

    return loss


def unroll(
    rule: UpdateRule, phi: BaseModel, batches: Float[Array, "step batch input"], *, rematerialise: bool = True
) -> BaseModel:
    """Apply the rule to one batch after another; `rematerialise` has backpropagation store only base models."""

    def inner_step(phi: BaseModel, x: Array) -> tuple[BaseModel, None]:
        return rule.update(phi, x), None

    return jax.lax.scan(jax.checkpoint(inner_step) if rematerialise else inner_step, phi, batches)[0]
