"""The outer loop: Adam on the meta-gradient, many meta-steps a dispatch, everything drawn from one key."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rules_src.config.meta_train import Adam, MetaTrain
from rules_src.errors import InputError
from rules_src.meta_train.gradient import GradientEstimator, sample_window, truncated_backprop
from rules_src.meta_train.held_out import Probe, held_out_accuracy
from rules_src.meta_train.truncation import TaskState, replace_finished, staggered_tasks
from rules_src.tasks.letters import Glyphs
from rules_src.update_rules.learned import LearnedRule


class MetaState(NamedTuple):
    """Everything that the next meta-step depends on."""

    rule: LearnedRule
    optimiser: optax.OptState
    tasks: TaskState
    key: PRNGKeyArray
    """The data cursor too: every draw comes from it."""
    meta_step: Int[Array, ""]


class Metrics(NamedTuple):
    """What a meta-step reports."""

    meta_loss: Float[Array, "*meta_step"]
    gradient_norm: Float[Array, "*meta_step"]
    """Global norm before clipping."""
    inner_rate: Float[Array, "*meta_step"]


class Progress(NamedTuple):
    """State of a run after a dispatch of meta-steps, with what was measured on the way."""

    state: MetaState
    metrics: Metrics
    held_out: dict[str, np.ndarray]
    """Accuracies of each probe's tasks."""


def adam(spec: Adam, meta_steps: int) -> optax.GradientTransformation:
    """Adam with clipping by global norm, linear warm-up and cosine decay to zero."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, spec.learning_rate, min(spec.warmup, meta_steps // 2), decay_steps=meta_steps
    )
    return optax.chain(optax.clip_by_global_norm(spec.clip), optax.adam(schedule))


def initial_state(rule: LearnedRule, spec: MetaTrain, characters: int) -> MetaState:
    """The state before the first meta-step; `rule` carries the initial theta."""
    key, key_tasks = jax.random.split(jax.random.key(spec.seed))
    return MetaState(
        rule=rule,
        optimiser=adam(spec.optimiser, spec.meta_steps).init(eqx.filter(rule, eqx.is_array)),
        tasks=staggered_tasks(key_tasks, spec, characters),
        key=key,
        meta_step=jnp.zeros((), jnp.int32),
    )


def meta_step(
    state: MetaState, glyphs: Glyphs, spec: MetaTrain, estimate: GradientEstimator
) -> tuple[MetaState, Metrics]:
    """One update of theta: draw data, estimate the gradient, step, replace finished tasks."""
    key, key_window, key_replace = jax.random.split(state.key, 3)
    window = sample_window(key_window, state.tasks, glyphs, spec)
    gradient, tasks, losses = estimate(state.rule, state.tasks, window)
    updates, optimiser = adam(spec.optimiser, spec.meta_steps).update(gradient, state.optimiser)
    rule = eqx.apply_updates(state.rule, updates)
    tasks = replace_finished(key_replace, tasks, spec, glyphs.pixels.shape[1])
    metrics = Metrics(losses.mean(), optax.tree.norm(gradient), rule.rate)
    return MetaState(rule, optimiser, tasks, key, state.meta_step + 1), metrics


def meta_train(
    rule: LearnedRule, glyphs: Glyphs, spec: MetaTrain, probes: Mapping[str, tuple[Probe, int]]
) -> Iterator[Progress]:
    """Run `spec.meta_steps` updates of theta, yielding after every `spec.held_out.every` of them.

    The first item is the state before training, without metrics of its own.

    Args:
        rule: the rule at its initial theta.
        glyphs: characters and faces of the training tasks.
        spec: the run.
        probes: held-out data and its number of classes, by name.

    Raises:
        InputError: the meta-gradient is no longer finite.
    """
    estimate = truncated_backprop(spec.ridge)

    @eqx.filter_jit
    def dispatch(glyphs: Glyphs, state: MetaState, steps: int) -> tuple[MetaState, Metrics]:
        return jax.lax.scan(lambda s, _: meta_step(s, glyphs, spec, estimate), state, length=steps)

    def watch(rule: LearnedRule) -> dict[str, np.ndarray]:
        return {
            name: np.asarray(held_out_accuracy(rule, probe, classes=classes, ridge=spec.ridge))
            for name, (probe, classes) in probes.items()
        }

    state = initial_state(rule, spec, glyphs.pixels.shape[1])
    nothing = Metrics(*(jnp.zeros(0) for _ in Metrics._fields))
    yield Progress(state, nothing, watch(state.rule))
    done = 0
    while done < spec.meta_steps:
        steps = min(spec.held_out.every, spec.meta_steps - done)
        state, metrics = dispatch(glyphs, state, steps)
        done += steps
        if not np.isfinite(np.asarray(metrics.gradient_norm)).all():
            first = done - steps + int(np.argmin(np.isfinite(np.asarray(metrics.gradient_norm))))
            raise InputError(
                f"optimiser.learning_rate: the meta-gradient is not finite at meta-step {first}; give less"
            )
        yield Progress(state, metrics, watch(state.rule))
