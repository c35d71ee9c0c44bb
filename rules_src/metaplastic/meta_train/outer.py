"""The outer loop: Adam on the meta-gradient, many meta-steps a dispatch, everything drawn from one key."""

from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.meta_train.allotment import of_shape, tasks_each
from metaplastic.meta_train.estimators.truncated_backprop import (
    BY_TASK,
    EVERYWHERE,
    BatchEstimator,
    GradientEstimator,
    in_parts,
    over_devices,
    over_tasks,
    sample_window,
    window_loss,
)
from metaplastic.meta_train.held_out import Probe, held_out_accuracy
from metaplastic.meta_train.spec import Adam, MetaTrain
from metaplastic.meta_train.tasks.source import Source
from metaplastic.meta_train.window import (
    TaskState,
    largest_total,
    replace_finished,
    sample_truncation,
    staggered_tasks,
    with_truncation,
)
from metaplastic.training.sharding import shared_out, whole
from metaplastic.update_rules.base import MetaTrainable


class MetaState(NamedTuple):
    """Everything that the next meta-step depends on; the curriculum follows from `meta_step`."""

    rule: MetaTrainable
    average: MetaTrainable
    """Moving average of `rule`, which is what a run is for; `rule` itself at decay 0."""
    optimiser: optax.OptState
    tasks: tuple[TaskState, ...]
    """The parallel tasks of each base model."""
    carry: tuple[Any, ...]
    """What the gradient estimator carries for each of them."""
    key: PRNGKeyArray
    """The data cursor too: every draw comes from it."""
    meta_step: Int[Array, ""]
    dropped: Float[Array, ""]
    """Share of tasks that were not finite, averaged over about the last `faults.window` meta-steps."""


class Metrics(NamedTuple):
    """What a meta-step reports."""

    meta_loss: Float[Array, "*meta_step"]
    """Mean over the tasks that were finite."""
    gradient_norm: Float[Array, "*meta_step"]
    """Global norm before clipping."""
    clipped: Float[Array, "*meta_step"]
    """One where that was more than the optimiser lets through, else zero."""
    inner_rate: Float[Array, "*meta_step"]
    dropped: Float[Array, "*meta_step"]
    """Share of tasks that were not finite, and therefore left out and replaced."""
    truncation: Float[Array, "*meta_step"]
    """Inner steps of the window."""


class Progress(NamedTuple):
    """State of a run after a dispatch of meta-steps, with what was measured on the way."""

    state: MetaState
    metrics: Metrics
    held_out: dict[str, np.ndarray]
    """Accuracies of each probe's tasks; none where a run goes on from a saved state."""


def adam(spec: Adam, meta_steps: int) -> optax.GradientTransformation:
    """Adam with clipping by global norm, linear warm-up and cosine decay to zero."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, spec.learning_rate, min(spec.warmup, meta_steps // 2), decay_steps=meta_steps
    )
    return optax.chain(optax.clip_by_global_norm(spec.clip), optax.adam(schedule))


def estimator(spec: MetaTrain) -> GradientEstimator:
    """The estimator that the config asks for."""
    # Imported by name, and declared to the workflow's fingerprints as a root of its own.
    module = import_module(spec.gradient.module)
    loss = partial(window_loss, ridge=spec.ridge, objective_every=spec.unroll.objective_every)
    built: GradientEstimator = module.build(spec.gradient, loss)
    return built


def task_mesh(spec: MetaTrain) -> Mesh:
    """As many devices, of each process equally many, as can take equal shares of each base model's tasks."""
    processes = jax.process_count()
    part = tasks_each(spec) // spec.microbatches
    each = max(n for n in range(1, jax.local_device_count() + 1) if part % (n * processes) == 0)
    devices = [device for index in range(processes) for device in jax.local_devices(index)[:each]]
    return Mesh(np.array(devices), ("task",))


def placed(state: MetaState, mesh: Mesh) -> MetaState:
    """The state with its tasks shared out over `mesh` and the rest everywhere."""
    everywhere, by_task = NamedSharding(mesh, EVERYWHERE), NamedSharding(mesh, BY_TASK)
    return MetaState(
        *(
            shared_out(part, by_task if name in {"tasks", "carry"} else everywhere)
            for name, part in state._asdict().items()
        )
    )


def initial_state(rule: MetaTrainable, spec: MetaTrain) -> MetaState:
    """The state before the first meta-step; `rule` carries the initial theta."""
    rule = rule.with_precision(spec.precision)
    key, key_tasks, key_carry = jax.random.split(jax.random.key(spec.seed), 3)
    begin = jax.vmap(estimator(spec).begin, in_axes=(0, None, 0))
    tasks, carry = [], []
    for index, shape in enumerate(spec.base_models):
        tasks.append(staggered_tasks(jax.random.fold_in(key_tasks, index), shape, of_shape(spec, shape)))
        keys = jax.random.split(jax.random.fold_in(key_carry, index), tasks_each(spec))
        carry.append(begin(keys, rule, tasks[-1].phi))
    return MetaState(
        rule=rule,
        average=rule,
        optimiser=adam(spec.optimiser, spec.meta_steps).init(eqx.filter(rule, eqx.is_array)),
        tasks=tuple(tasks),
        carry=tuple(carry),
        key=key,
        meta_step=jnp.zeros((), jnp.int32),
        dropped=jnp.zeros(()),
    )


def meta_step(
    state: MetaState, sources: Mapping[str, Source], spec: MetaTrain, estimate: BatchEstimator
) -> tuple[MetaState, Metrics]:
    """One update of theta: draw data, estimate the gradient, step, replace tasks that are finished or not finite."""
    key, *keys = jax.random.split(state.key, 1 + len(spec.base_models))
    longest = largest_total(state.meta_step, spec.unroll)
    found, tasks = [], []
    for shape, key_shape, learning, carry in zip(spec.base_models, keys, state.tasks, state.carry, strict=True):
        key_window, key_replace, key_estimate = jax.random.split(key_shape, 3)
        seen = of_shape(spec, shape)
        window = sample_window(key_window, learning, sources, seen)
        one = estimate(jax.random.split(key_estimate, tasks_each(spec)), state.rule, learning, carry, window)
        found.append(one)
        ages = jnp.where(one.sound, one.tasks.age, one.tasks.total)
        tasks.append(replace_finished(key_replace, one.tasks._replace(age=ages), shape, seen, longest))
    sound = jnp.concatenate([one.sound for one in found])
    losses = jnp.concatenate([one.losses for one in found])
    gradient = jax.tree.map(lambda *g: sum(g) / jnp.maximum(sound.sum(), 1), *(one.gradient for one in found))
    updates, optimiser = adam(spec.optimiser, spec.meta_steps).update(gradient, state.optimiser)
    rule = eqx.apply_updates(state.rule, updates)
    norm, dropped = optax.tree.norm(gradient), 1 - sound.mean()
    metrics = Metrics(
        meta_loss=jnp.where(sound, losses, 0).sum() / sound.sum(),
        gradient_norm=norm,
        clipped=(norm > spec.optimiser.clip).astype(norm.dtype),
        inner_rate=rule.rate,
        dropped=dropped,
        truncation=jnp.asarray(float(spec.unroll.truncation)),
    )
    after = MetaState(
        rule=rule,
        average=optax.incremental_update(rule, state.average, 1 - spec.average),
        optimiser=optimiser,
        tasks=tuple(tasks),
        carry=tuple(one.carry for one in found),
        key=key,
        meta_step=state.meta_step + 1,
        dropped=state.dropped + (dropped - state.dropped) / spec.faults.window,
    )
    return after, metrics


def meta_train(
    rule: MetaTrainable,
    sources: Mapping[str, Source],
    spec: MetaTrain,
    probes: Mapping[str, tuple[Probe, int]],
    *,
    start: MetaState | None = None,
) -> Iterator[Progress]:
    """Run `spec.meta_steps` updates of theta, yielding after every `spec.held_out.every` of them.

    The first item is the state before the first of them, without metrics of its own. Whether too many tasks are not
    finite is for the caller to judge: see `MetaState.dropped`.

    Args:
        rule: the rule at its initial theta.
        sources: what tasks are made of, by name.
        spec: the run.
        probes: held-out data and its number of classes, by name.
        start: the state to go on from, of an earlier run of equal arguments.
    """
    mesh = task_mesh(spec)
    estimate = over_devices(in_parts(over_tasks(estimator(spec)), spec.microbatches), mesh)

    @eqx.filter_jit
    def dispatch(
        sources: Mapping[str, Source], state: MetaState, steps: int, truncation: int
    ) -> tuple[MetaState, Metrics]:
        current = with_truncation(spec, truncation)
        return jax.lax.scan(lambda s, _: meta_step(s, sources, current, estimate), state, length=steps)

    def watch(rule: MetaTrainable) -> dict[str, np.ndarray]:
        rule = rule.with_precision("float32")
        return {
            name: np.asarray(whole(held_out_accuracy(rule, probe, classes=classes, ridge=spec.ridge), mesh))
            for name, (probe, classes) in probes.items()
        }

    sources = shared_out(sources, NamedSharding(mesh, EVERYWHERE))
    shared = NamedSharding(mesh, EVERYWHERE if spec.held_out.tasks % mesh.size else BY_TASK)
    probes = {name: (shared_out(probe, shared), classes) for name, (probe, classes) in probes.items()}
    state = placed(start or jax.jit(lambda: initial_state(rule, spec))(), mesh)
    nothing = Metrics(*(jnp.zeros(0) for _ in Metrics._fields))
    yield Progress(whole(state, mesh), nothing, {} if start else watch(state.average))
    done = int(state.meta_step)
    while done < spec.meta_steps:
        steps = min(spec.held_out.every, spec.meta_steps - done)
        state, metrics = dispatch(sources, state, steps, sample_truncation(spec, done))
        state = placed(state, mesh)
        done += steps
        yield Progress(whole(state, mesh), whole(metrics, mesh), watch(state.average))
