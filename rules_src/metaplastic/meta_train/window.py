"""Tasks in progress: each is carried a window of inner steps at a time until its own total, then replaced."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.meta_train.allotment import of_shape, tasks_each
from metaplastic.meta_train.spec import MetaTrain, TaskShape, Unroll
from metaplastic.network import BaseModel, initial_base_model, layer_widths
from metaplastic.update_rules import spec as config
from metaplastic.update_rules.base import UpdateRule


class TaskState(NamedTuple):
    """One task and the base model that is learning it."""

    task: PRNGKeyArray
    """What everything that stays the same within the task is drawn from."""
    phi: BaseModel
    age: Int[Array, ""]
    """Inner steps done."""
    total: Int[Array, ""]
    """Inner steps after which the task is replaced."""


def fresh_base_model(key: PRNGKeyArray, shape: config.BaseModel, side: int) -> BaseModel:
    """A randomly initialised base model for `side` x `side` inputs."""
    return initial_base_model(key, layer_widths(shape, side**2), shape.activation)


def new_task(key: PRNGKeyArray, shape: config.BaseModel, spec: MetaTrain) -> TaskState:
    """A fresh task with a randomly initialised base model of that shape."""
    key_task, key_phi, key_total = jax.random.split(key, 3)
    return TaskState(
        task=key_task,
        phi=fresh_base_model(key_phi, shape, spec.tasks.side),
        age=jnp.zeros((), jnp.int32),
        total=sample_total(key_total, spec.unroll),
    )


def inner_step_flops(rule: UpdateRule, spec: MetaTrain) -> float:
    """Floating-point operations of one inner step of all parallel tasks, by XLA's count before optimisation."""

    def cost(shape: TaskShape) -> float:
        seen = of_shape(spec, shape)
        phi = fresh_base_model(jax.random.key(0), shape, seen.tasks.side)
        step = jax.jit(lambda rule, phi, x: rule.update(phi, x))
        counted: Any = step.lower(rule, phi, jnp.zeros((seen.batch, seen.tasks.side**2))).cost_analysis()
        return float(counted["flops"])

    return tasks_each(spec) * sum(map(cost, spec.base_models))


def sample_total(key: PRNGKeyArray, unroll: Unroll) -> Int[Array, ""]:
    """A total of inner steps, log-uniform between the shortest and the longest."""
    low, high = jnp.log(unroll.shortest), jnp.log(unroll.longest)
    return jnp.round(jnp.exp(jax.random.uniform(key, minval=low, maxval=high))).astype(jnp.int32)


def largest_total(meta_step: Int[Array, ""], unroll: Unroll) -> Float[Array, ""]:
    """The upper end of totals at a meta-step: grown geometrically from `longest_at_first`, or always `longest`."""
    first = unroll.longest_at_first or unroll.longest
    progress = jnp.minimum(meta_step / unroll.growth, 1.0)
    return first * (unroll.longest / first) ** progress


def shortened(total: Int[Array, "*task"], longest: Float[Array, ""], unroll: Unroll) -> Int[Array, "*task"]:
    """Totals log-uniform up to `unroll.longest`, made log-uniform up to `longest`."""
    if unroll.longest_at_first is None:
        return total
    share = jnp.log(total / unroll.shortest) / jnp.log(unroll.longest / unroll.shortest)
    return jnp.round(unroll.shortest * (longest / unroll.shortest) ** share).astype(jnp.int32)


def sample_truncation(spec: MetaTrain, meta_step: int) -> int:
    """The truncation of the dispatch that starts after `meta_step` updates of theta; a resumed run draws it again."""
    lengths = spec.unroll.truncations or [spec.unroll.truncation]
    key = jax.random.fold_in(jax.random.key(spec.seed), meta_step)
    return lengths[int(jax.random.randint(key, (), 0, len(lengths)))]


def with_truncation(spec: MetaTrain, truncation: int) -> MetaTrain:
    """The run with this truncation alone."""
    unroll = spec.unroll.model_copy(update={"truncation": truncation, "truncations": []})
    return spec.model_copy(update={"unroll": unroll})


def staggered_tasks(key: PRNGKeyArray, shape: config.BaseModel, spec: MetaTrain) -> TaskState:
    """A base model's share of fresh tasks, replaced at different times: their ages are offset at random."""
    key_task, key_age = jax.random.split(key)
    states = eqx.filter_vmap(lambda k: new_task(k, shape, spec))(jax.random.split(key_task, tasks_each(spec)))
    total = shortened(states.total, largest_total(jnp.zeros((), jnp.int32), spec.unroll), spec.unroll)
    ages = jax.random.uniform(key_age, (tasks_each(spec),)) * total
    return states._replace(age=ages.astype(jnp.int32), total=total)


def replace_finished(
    key: PRNGKeyArray, states: TaskState, shape: config.BaseModel, spec: MetaTrain, longest: Float[Array, ""]
) -> TaskState:
    """Replace every task that has reached its total by a fresh one, whose own total is at most `longest`."""
    fresh = eqx.filter_vmap(lambda k: new_task(k, shape, spec))(jax.random.split(key, tasks_each(spec)))
    fresh = fresh._replace(total=shortened(fresh.total, longest, spec.unroll))
    finished = states.age >= states.total

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(finished.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, fresh, states)
