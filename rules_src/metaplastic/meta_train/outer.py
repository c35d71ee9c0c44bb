"""The outer loop: Adam on the meta-gradient, many meta-steps per dispatch, everything drawn from one key."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.io.compilation import jit
from metaplastic.meta_train.estimators.base import BY_TASK, EVERYWHERE, BatchEstimator, GradientEstimator, over_devices
from metaplastic.meta_train.held_out import Probe, held_out_accuracy
from metaplastic.meta_train.tasks.source import Source
from metaplastic.meta_train.window import (
    Group,
    TaskState,
    Totals,
    largest_total,
    replace_finished,
    sample_window,
    staggered_tasks,
)
from metaplastic.training.sharding import shared_out, whole
from metaplastic.update_rules.base import MetaTrainable
from metaplastic.update_rules.spec import Precision


class Hyperparameters(NamedTuple):
    """A meta-training run in plain numbers and functions; sections of the config describe the numbers."""

    groups: list[Group]
    """The parallel tasks of each base model; the groups are equally large."""
    at_once: int
    """Groups of a meta-step, neighbours in the list."""
    totals: Totals
    truncations: list[int]
    """Inner steps per window."""
    dispatch: int
    """Meta-steps per dispatch, each of which draws groups and a truncation."""
    microbatches: int
    estimator: GradientEstimator
    optimiser: optax.GradientTransformation
    clip: float
    average: float
    fault_window: int
    ridge: float
    """Penalty of the readout on probes."""
    precision: Precision
    meta_steps: int
    watch: int
    """Meta-steps between measurements on probes, a multiple of `dispatch`."""
    seed: int

    @property
    def programs(self) -> int:
        """Return how many programs there may be, which share the meta-steps."""
        return len(self.truncations) * (len(self.groups) // self.at_once)


class MetaState(NamedTuple):
    """Everything that the next meta-step depends on; the curriculum follows from `meta_step`."""

    rule: MetaTrainable
    average: MetaTrainable
    """Moving average of `rule`, the result of a run; `rule` itself at decay 0."""
    optimiser: optax.OptState
    tasks: tuple[TaskState, ...]
    """The parallel tasks of each base model."""
    carry: tuple[Any, ...]
    """What the gradient estimator carries for each of them."""
    key: PRNGKeyArray
    """Every draw comes from it, so it is the data cursor too."""
    meta_step: Int[Array, ""]
    dropped: Float[Array, ""]
    """Share of tasks that were not finite, averaged over about the last `fault_window` meta-steps."""


class Program(NamedTuple):
    """What the meta-steps of a dispatch have in common; every program is compiled once."""

    groups: range
    """Indices of the groups that take part; the tasks of the others wait."""
    truncation: int


class Metrics(NamedTuple):
    """What a meta-step reports; `LONG_NAMES` in `run.py` describes each."""

    meta_loss: Float[Array, "*meta_step"]
    gradient_norm: Float[Array, "*meta_step"]
    clipped: Float[Array, "*meta_step"]
    inner_rate: Float[Array, "*meta_step"]
    dropped: Float[Array, "*meta_step"]
    truncation: Float[Array, "*meta_step"]


class Progress(NamedTuple):
    """State of a run after a dispatch of meta-steps, with the measurements on the way."""

    state: MetaState
    metrics: Metrics
    held_out: dict[str, np.ndarray]
    """Accuracies of each probe's tasks; empty where a run continues from a saved state."""


def task_mesh(tasks: int) -> Mesh:
    """Return a mesh of the most devices, equally many from each process, that share `tasks` out equally."""
    processes = jax.process_count()
    each = max(n for n in range(1, jax.local_device_count() + 1) if tasks % (n * processes) == 0)
    devices = [device for index in range(processes) for device in jax.local_devices(index)[:each]]
    return Mesh(np.array(devices), ("task",))


def placed(state: MetaState, mesh: Mesh) -> MetaState:
    """Share the tasks of a state out over `mesh` and put the rest everywhere."""
    lies = {"tasks": BY_TASK, "carry": BY_TASK}
    parts = state._asdict().items()
    return MetaState(*(shared_out(part, NamedSharding(mesh, lies.get(name, EVERYWHERE))) for name, part in parts))


def initial_state(rule: MetaTrainable, hyper: Hyperparameters) -> MetaState:
    """Return the state before the first meta-step; `rule` carries the initial theta."""
    rule = rule.with_precision(hyper.precision)
    key, key_tasks, key_carry = jax.random.split(jax.random.key(hyper.seed), 3)
    begin = jax.vmap(hyper.estimator.begin, in_axes=(0, None, 0))
    tasks, carry = [], []
    for index, group in enumerate(hyper.groups):
        tasks.append(staggered_tasks(jax.random.fold_in(key_tasks, index), group, hyper.totals))
        keys = jax.random.split(jax.random.fold_in(key_carry, index), group.tasks)
        carry.append(begin(keys, rule, tasks[-1].phi))
    return MetaState(
        rule=rule,
        average=rule,
        optimiser=hyper.optimiser.init(rule),
        tasks=tuple(tasks),
        carry=tuple(carry),
        key=key,
        meta_step=jnp.zeros((), jnp.int32),
        dropped=jnp.zeros(()),
    )


def sample_program(hyper: Hyperparameters, meta_step: int) -> Program:
    """Draw the program of the dispatch that follows `meta_step` updates of theta; a resumed run draws it again."""
    key, blocks = jax.random.fold_in(jax.random.key(hyper.seed), meta_step), len(hyper.groups) // hyper.at_once
    truncation = hyper.truncations[int(jax.random.randint(key, (), 0, len(hyper.truncations)))]
    first = hyper.at_once * int(jax.random.randint(jax.random.fold_in(key, 0), (), 0, blocks))
    return Program(range(first, first + hyper.at_once), truncation)


def meta_step(
    state: MetaState, sources: Mapping[str, Source], hyper: Hyperparameters, estimate: BatchEstimator, program: Program
) -> tuple[MetaState, Metrics]:
    """Update theta once: draw data, estimate the gradient, step, replace tasks that are finished or not finite."""
    key, *keys = jax.random.split(state.key, 1 + len(program.groups))
    longest = largest_total(state.meta_step, hyper.totals)
    found, tasks, carry = [], [*state.tasks], [*state.carry]
    for index, key_group in zip(program.groups, keys, strict=True):
        group = hyper.groups[index]
        key_window, key_replace, key_estimate = jax.random.split(key_group, 3)
        window = sample_window(key_window, tasks[index], sources, group, program.truncation)
        keys_tasks = jax.random.split(key_estimate, group.tasks)
        one = estimate(keys_tasks, state.rule, tasks[index], carry[index], window)
        found.append(one)
        ages = jnp.where(one.sound, one.tasks.age, one.tasks.total)
        tasks[index] = replace_finished(key_replace, one.tasks._replace(age=ages), group, hyper.totals, longest)
        carry[index] = one.carry
    sound = jnp.concatenate([one.sound for one in found])
    losses = jnp.concatenate([one.losses for one in found])
    gradient = jax.tree.map(lambda *g: sum(g) / jnp.maximum(sound.sum(), 1), *(one.gradient for one in found))
    updates, optimiser = hyper.optimiser.update(gradient, state.optimiser)
    rule = optax.apply_updates(state.rule, updates)
    norm, dropped = optax.tree.norm(gradient), 1 - sound.mean()
    metrics = Metrics(
        meta_loss=jnp.where(sound, losses, 0).sum() / sound.sum(),
        gradient_norm=norm,
        clipped=(norm > hyper.clip).astype(norm.dtype),
        inner_rate=rule.rate,
        dropped=dropped,
        truncation=jnp.asarray(float(program.truncation)),
    )
    after = MetaState(
        rule=rule,
        average=optax.incremental_update(rule, state.average, 1 - hyper.average),
        optimiser=optimiser,
        tasks=tuple(tasks),
        carry=tuple(carry),
        key=key,
        meta_step=state.meta_step + 1,
        dropped=state.dropped + (dropped - state.dropped) / hyper.fault_window,
    )
    return after, metrics


def meta_train(
    rule: MetaTrainable,
    sources: Mapping[str, Source],
    hyper: Hyperparameters,
    probes: Mapping[str, tuple[Probe, int]],
    *,
    start: MetaState | None = None,
) -> Iterator[Progress]:
    """Run `hyper.meta_steps` updates of theta, and yield after every `hyper.watch` of them.

    The first item is the state before the first update, without metrics. `MetaState.dropped` tells the caller to stop.
    The `rule` is at its initial theta; `probes` are held-out data with the number of classes, by name; `start` is the
    state to continue from, of an earlier run with equal arguments.
    """
    mesh = task_mesh(hyper.groups[0].tasks // hyper.microbatches)
    estimate = over_devices(hyper.estimator, hyper.microbatches, mesh)

    @partial(jit, steps=hyper.meta_steps // hyper.programs)
    def dispatch(sources: Any, state: MetaState, steps: int, program: Program) -> tuple[MetaState, Metrics]:
        step = partial(meta_step, sources=sources, hyper=hyper, estimate=estimate, program=program)
        return jax.lax.scan(lambda state, _: step(state), state, length=steps)

    def watch(rule: MetaTrainable) -> dict[str, np.ndarray]:
        rule = rule.with_precision("float32")
        return {
            name: np.asarray(whole(held_out_accuracy(rule, probe, classes=classes, ridge=hyper.ridge), mesh))
            for name, (probe, classes) in probes.items()
        }

    def shared(probe: Probe) -> Probe:
        return shared_out(probe, NamedSharding(mesh, EVERYWHERE if len(probe.fit_y) % mesh.size else BY_TASK))

    sources = shared_out(sources, NamedSharding(mesh, EVERYWHERE))
    probes = {name: (shared(probe), classes) for name, (probe, classes) in probes.items()}
    state = placed(start or jit(lambda: initial_state(rule, hyper))(), mesh)
    nothing = Metrics(*[jnp.zeros(0)] * len(Metrics._fields))
    yield Progress(whole(state, mesh), nothing, {} if start else watch(state.average))
    done = int(state.meta_step)
    while done < hyper.meta_steps:
        before, done, parts = done, min(done + hyper.watch, hyper.meta_steps), []
        for first in range(before, done, hyper.dispatch):
            steps = min(hyper.dispatch, done - first)
            state, metrics = dispatch(sources, state, steps, sample_program(hyper, first))
            state = placed(state, mesh)
            parts.append(whole(metrics, mesh))
        metrics = jax.tree.map(lambda *each: jnp.concatenate(each), *parts)
        yield Progress(whole(state, mesh), metrics, watch(state.average))
