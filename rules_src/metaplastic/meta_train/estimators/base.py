"""The seam for estimators of the meta-gradient: the meta-objective's gradient over a window with respect to theta.

An estimator looks at one task at a time and may carry something from a task's window to its next. The functions here
turn any estimator into the gradient of a batch of tasks, which one broken task cannot spoil.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray

from metaplastic.meta_train.window import TaskState, Window
from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule

EVERYWHERE: Any = PartitionSpec()  # type: ignore[no-untyped-call]
BY_TASK: Any = PartitionSpec("task")  # type: ignore[no-untyped-call]
"""How arrays lie on a mesh of devices whose axis is `task`."""


class TaskEstimate(NamedTuple):
    """The estimate for one task's window."""

    gradient: UpdateRule
    """Shaped like the rule."""
    phi: BaseModel
    """The base model at the window's end."""
    carry: Any
    loss: Float[Array, ""]


class GradientEstimator(NamedTuple):
    """An estimator of one task's meta-gradient."""

    begin: Callable[[PRNGKeyArray, UpdateRule, BaseModel], Any]
    """Returns the arrays that it carries into the first window of a task that starts with this base model."""
    estimate: Callable[[PRNGKeyArray, UpdateRule, TaskState, Any, Window], TaskEstimate]
    """Returns the estimate for one window, given what is carried into it."""


class Estimate(NamedTuple):
    """The estimate for a batch of tasks."""

    gradient: UpdateRule
    """Sum over the sound tasks."""
    tasks: TaskState
    carry: Any
    losses: Float[Array, " task"]
    sound: Bool[Array, " task"]
    """Whether the task's loss, gradient and base model are all finite."""


BatchEstimator = Callable[[Key[Array, " task"], UpdateRule, TaskState, Any, Window], Estimate]


def over_tasks(estimator: GradientEstimator) -> BatchEstimator:
    """Return the estimator of a batch of tasks at once.

    Gradients stay apart until those that are not finite are masked: a sum that holds a NaN cannot be repaired, and a
    loss masked before differentiation still spreads the NaN of its backward pass.
    """

    def estimate(keys: Key[Array, " task"], rule: UpdateRule, tasks: TaskState, carry: Any, window: Window) -> Estimate:
        each = jax.vmap(estimator.estimate, in_axes=(0, None, 0, 0, 0))(keys, rule, tasks, carry, window)
        finite = [jnp.isfinite(leaf).reshape(len(leaf), -1).all(1) for leaf in jax.tree.leaves(each)]
        sound = jnp.stack(finite).all(0)

        def masked_sum(gradients: Array) -> Array:
            return jnp.where(sound.reshape(-1, *(1,) * (gradients.ndim - 1)), gradients, 0).sum(0)

        steps = window.unlabelled.shape[1]
        tasks = tasks._replace(phi=each.phi, age=tasks.age + steps)
        return Estimate(jax.tree.map(masked_sum, each.gradient), tasks, each.carry, each.loss, sound)

    return estimate


def in_parts(estimate: BatchEstimator, parts: int) -> BatchEstimator:
    """Return an estimator that takes `parts` equal parts of the tasks one after another, in the memory of one."""

    def estimate_parts(keys: Key[Array, " task"], rule: UpdateRule, *batch: Any) -> Estimate:
        def one(total: UpdateRule, part: Any) -> tuple[UpdateRule, Any]:
            found = estimate(part[0], rule, *part[1:])
            return jax.tree.map(jnp.add, total, found.gradient), found[1:]

        split = jax.tree.map(lambda a: a.reshape(parts, -1, *a.shape[1:]), (keys, *batch))
        gradient, found = jax.lax.scan(one, jax.tree.map(jnp.zeros_like, rule), split)
        return Estimate(gradient, *jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found))

    return estimate_parts if parts > 1 else estimate


def over_devices(estimator: GradientEstimator, parts: int, mesh: Mesh) -> BatchEstimator:
    """Return the estimator `in_parts` that shares tasks out over the devices of `mesh`, where theta is too."""
    estimate = in_parts(over_tasks(estimator), parts)

    def on_each(keys: Key[Array, " task"], rule: UpdateRule, *batch: Any) -> Estimate:
        found = estimate(keys, rule, *batch)
        gradient = jax.lax.psum(found.gradient, mesh.axis_names)  # type: ignore[no-untyped-call]
        return found._replace(gradient=gradient)

    out: Any = Estimate(*[EVERYWHERE, *[BY_TASK] * 4])
    laid = (BY_TASK, EVERYWHERE, BY_TASK, BY_TASK, BY_TASK)
    return jax.shard_map(on_each, mesh=mesh, in_specs=laid, out_specs=out, check_vma=False)
