"""Estimators of the meta-gradient: of the meta-objective over a window of inner steps, with respect to theta.

An estimator looks at one task at a time and may carry something of its own from a task's window to its next. What
turns it into the gradient of a batch of tasks, one that a broken task cannot spoil, is the same for all.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray

from metaplastic.meta_train.allotment import tasks_each, trained_sources
from metaplastic.meta_train.objective import meta_objective
from metaplastic.meta_train.spec import MetaTrain, TruncatedBackprop
from metaplastic.meta_train.tasks.mixture import every_class, random_classes, regression_targets, shares, show
from metaplastic.meta_train.tasks.source import Source
from metaplastic.meta_train.window import TaskState
from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule

EVERYWHERE: Any = PartitionSpec()  # type: ignore[no-untyped-call]
BY_TASK: Any = PartitionSpec("task")  # type: ignore[no-untyped-call]
"""How arrays lie on a mesh of devices whose axis is `task`."""


class Window(NamedTuple):
    """Data that a batch of tasks sees in one window."""

    unlabelled: Float[Array, "task step batch input"]
    images: Float[Array, "task 2 example input"]
    """Labelled examples for fitting and for scoring the readout."""
    targets: Float[Array, "task 2 example target"]


WindowLoss = Callable[[UpdateRule, BaseModel, Window], tuple[Float[Array, ""], BaseModel]]
"""One task's loss over a window, and its base model at the window's end."""


class TaskEstimate(NamedTuple):
    """What an estimator makes of one task's window."""

    gradient: UpdateRule
    """Shaped like the rule."""
    phi: BaseModel
    """The base model at the window's end."""
    carry: Any
    loss: Float[Array, ""]


class GradientEstimator(NamedTuple):
    """An estimator of one task's meta-gradient."""

    begin: Callable[[PRNGKeyArray, UpdateRule, BaseModel], Any]
    """What it carries into the first window of a task that starts with this base model; arrays alone."""
    estimate: Callable[[PRNGKeyArray, UpdateRule, TaskState, Any, Window], TaskEstimate]
    """The estimate for one window, given what is carried into it."""


class Estimate(NamedTuple):
    """What a batch of tasks yields."""

    gradient: UpdateRule
    """Sum over the sound tasks."""
    tasks: TaskState
    carry: Any
    losses: Float[Array, " task"]
    sound: Bool[Array, " task"]
    """Whether the task's loss, gradient and base model are all finite."""


BatchEstimator = Callable[[Key[Array, " task"], UpdateRule, TaskState, Any, Window], Estimate]


def sample_window(key: PRNGKeyArray, states: TaskState, sources: Mapping[str, Source], spec: MetaTrain) -> Window:
    """Draw fresh data for every task of a base model; neighbouring tasks are of one source."""
    shape, tasks = (spec.unroll.truncation, spec.batch), spec.tasks
    labelled = jnp.tile(every_class(spec.labelled, tasks), 2)

    def sample(source: Source, key: PRNGKeyArray, task: PRNGKeyArray) -> Window:
        key_classes, key_show = jax.random.split(key)
        unlabelled = random_classes(key_classes, math.prod(shape), tasks)
        shown = show(key_show, task, source, jnp.concatenate([unlabelled, labelled]), tasks)
        batches, images = jnp.split(shown.inputs, [len(unlabelled)])
        targets = regression_targets(labelled, shown.coefficients[len(unlabelled) :], tasks)
        return Window(batches.reshape(*shape, -1), *(a.reshape(2, -1, a.shape[1]) for a in (images, targets)))

    counts = shares({name: source.weight for name, source in trained_sources(spec).items()}, tasks_each(spec))
    keys, first, windows = jax.random.split(key, tasks_each(spec)), 0, []
    for name, count in counts.items():
        slots = slice(first, first + count)
        windows.append(jax.vmap(partial(sample, sources[name]))(keys[slots], states.task[slots]))
        first += count
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *windows)


def window_loss(*, ridge: float, objective_every: int | None = None, rematerialise: bool = True) -> WindowLoss:
    """The meta-objective at the window's end, or its mean over every `objective_every`-th inner step."""

    def objective(phi: BaseModel, window: Window) -> Float[Array, ""]:
        # One pass over both batches, so that they share their batch-norm statistics.
        features_a, features_b = jnp.split(phi.features(jnp.concatenate(list(window.images))), 2)
        return meta_objective(features_a, window.targets[0], features_b, window.targets[1], ridge=ridge)

    def loss(rule: UpdateRule, phi: BaseModel, window: Window) -> tuple[Float[Array, ""], BaseModel]:
        def stretch(phi: BaseModel, batches: Array) -> tuple[BaseModel, Array]:
            phi = unroll(rule, phi, batches, rematerialise=rematerialise)
            return phi, objective(phi, window)

        steps = len(window.unlabelled)
        every = objective_every or steps
        if every == steps:
            phi, last = stretch(phi, window.unlabelled)
            return last, phi
        stretches = window.unlabelled.reshape(steps // every, every, *window.unlabelled.shape[1:])
        phi, losses = jax.lax.scan(stretch, phi, stretches)
        return losses.mean(), phi

    return loss


def truncated_backprop(loss: WindowLoss) -> GradientEstimator:
    """Backpropagation through the window alone: the base model that enters it counts as constant."""

    def begin(key: PRNGKeyArray, rule: UpdateRule, phi: BaseModel) -> None:
        return None

    def estimate(key: PRNGKeyArray, rule: UpdateRule, state: TaskState, carry: None, window: Window) -> TaskEstimate:
        differentiate = eqx.filter_value_and_grad(loss, has_aux=True)
        (value, phi), gradient = differentiate(rule, state.phi, window)
        return TaskEstimate(gradient, phi, None, value)

    return GradientEstimator(begin, estimate)


def build(spec: TruncatedBackprop, loss: Callable[..., WindowLoss]) -> GradientEstimator:
    """The estimator that a section of the config describes; `loss` is `window_loss` with all but rematerialisation."""
    return truncated_backprop(loss(rematerialise=spec.rematerialise))


def over_tasks(estimator: GradientEstimator) -> BatchEstimator:
    """Estimate for a batch of tasks at once.

    Gradients are kept apart until those that are not finite are masked: a sum, once it holds a NaN, cannot be mended,
    and a loss masked before differentiation still spreads the NaN of its backward pass.
    """

    def estimate(keys: Key[Array, " task"], rule: UpdateRule, tasks: TaskState, carry: Any, window: Window) -> Estimate:
        each = jax.vmap(estimator.estimate, in_axes=(0, None, 0, 0, 0))(keys, rule, tasks, carry, window)
        sound = all_finite(each)

        def masked_sum(gradients: Array) -> Array:
            return jnp.where(sound.reshape(-1, *(1,) * (gradients.ndim - 1)), gradients, 0).sum(0)

        steps = window.unlabelled.shape[1]
        tasks = tasks._replace(phi=each.phi, age=tasks.age + steps)
        return Estimate(jax.tree.map(masked_sum, each.gradient), tasks, each.carry, each.loss, sound)

    return estimate


def all_finite(batch: Any) -> Bool[Array, " task"]:
    """For each entry of the leading axis, whether every number of every array in `batch` is finite."""
    checks = [jnp.isfinite(leaf).reshape(len(leaf), -1).all(1) for leaf in jax.tree.leaves(batch)]
    return jnp.stack(checks).all(0)


def in_parts(estimate: BatchEstimator, parts: int) -> BatchEstimator:
    """The same estimate from `parts` equal parts of the tasks, one after another, for the memory of one."""

    def estimate_parts(
        keys: Key[Array, " task"], rule: UpdateRule, tasks: TaskState, carry: Any, window: Window
    ) -> Estimate:
        def one(total: UpdateRule, part: Any) -> tuple[UpdateRule, Any]:
            keys, tasks, carry, window = part
            found = estimate(keys, rule, tasks, carry, window)
            return jax.tree.map(jnp.add, total, found.gradient), found[1:]

        split = jax.tree.map(lambda a: a.reshape(parts, -1, *a.shape[1:]), (keys, tasks, carry, window))
        gradient, found = jax.lax.scan(one, jax.tree.map(jnp.zeros_like, rule), split)
        return Estimate(gradient, *jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found))

    return estimate_parts if parts > 1 else estimate


def over_devices(estimate: BatchEstimator, mesh: Mesh) -> BatchEstimator:
    """The same estimate with the tasks shared out over the devices of `mesh`; theta and its gradient are everywhere."""

    def on_each(keys: Key[Array, " task"], rule: UpdateRule, tasks: TaskState, carry: Any, window: Window) -> Estimate:
        found = estimate(keys, rule, tasks, carry, window)
        gradient = jax.lax.psum(found.gradient, mesh.axis_names)  # type: ignore[no-untyped-call]
        return found._replace(gradient=gradient)

    out: Any = Estimate(*[EVERYWHERE, *[BY_TASK] * 4])
    return jax.shard_map(
        on_each,
        mesh=mesh,
        in_specs=(BY_TASK, EVERYWHERE, BY_TASK, BY_TASK, BY_TASK),
        out_specs=out,
        check_vma=False,
    )


def unroll(
    rule: UpdateRule, phi: BaseModel, batches: Float[Array, "step batch input"], *, rematerialise: bool = True
) -> BaseModel:
    """Apply the rule to one batch after another.

    With `rematerialise`, only the base models in between are stored for backpropagation.
    """

    def inner_step(phi: BaseModel, x: Array) -> tuple[BaseModel, None]:
        return rule.update(phi, x), None

    return jax.lax.scan(jax.checkpoint(inner_step) if rematerialise else inner_step, phi, batches)[0]
