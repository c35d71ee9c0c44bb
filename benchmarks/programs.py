"""What is measured: inner steps and meta-gradients of both learned rules, on made-up data.

Imported anew for every checkout that is measured, so it holds to interfaces that revisions have in common.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from metaplastic.meta_train import window as windows
from metaplastic.meta_train.estimators import base
from metaplastic.meta_train.estimators import truncated_backprop as backprop
from metaplastic.network import BaseModel, initial_base_model
from metaplastic.update_rules import compact, published
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Compact, Published

from benchmarks.measurement import Program

WIDTHS = (196, 128, 128, 128, 128, 32)
"""Of the base model on 14x14 inputs, from the input up."""
BATCH = 128
TOY_WIDTHS = (49, 32, 16)
TOY_BATCH = 16
TASKS = 8
STEPS = 10
"""Inner steps that a meta-gradient sees."""
CLASSES = 10
LABELLED = 100
"""Labelled examples in each of the two batches of the meta-objective."""
RIDGE = 0.1
COLUMNS = (200, 1_000, 5_000, 20_000, 50_000)
"""Of tables with few or many columns."""
TABLE_HIDDEN, TABLE_BATCH = (64, 32), 64
"""Base model and batch on tables: the transformer's defaults."""


class Addition(UpdateRule):
    """Adds its theta to phi: a meta-gradient that costs next to nothing inside the loop over inner steps."""

    theta: BaseModel

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        """One inner step; looks at no data."""
        return jax.tree.map(jnp.add, phi, self.theta)


def published_rule() -> UpdateRule:
    """The published rule at its defaults and initial theta."""
    return published.build(Published(kind="published"), jax.random.key(0))


def compact_rule() -> UpdateRule:
    """The compact rule at its defaults and initial theta."""
    return compact.build(Compact(kind="compact"), jax.random.key(0))


def inner_step(rule: UpdateRule) -> Program:
    """One inner step of one base model."""
    phi = initial_base_model(jax.random.key(1), WIDTHS)
    return Program(type(rule).update, (rule, phi, jax.random.uniform(jax.random.key(2), (BATCH, WIDTHS[0]))))


def meta_gradient(rule: UpdateRule, widths: Sequence[int] = WIDTHS, batch: int = BATCH) -> Program:
    """Truncated backpropagation through a window of inner steps, for several tasks at once."""
    keys = jax.random.split(jax.random.key(1), 4)
    phis = eqx.filter_vmap(lambda key: initial_base_model(key, widths))(jax.random.split(keys[0], TASKS))
    labels = jax.random.randint(keys[1], (TASKS, 2, LABELLED), 0, CLASSES)
    window = windows.Window(
        unlabelled=jax.random.uniform(keys[2], (TASKS, STEPS, batch, widths[0])),
        images=jax.random.uniform(keys[3], (TASKS, 2, LABELLED, widths[0])),
        targets=jax.nn.one_hot(labels, CLASSES),
    )
    addition = Addition(jax.tree.map(lambda leaf: leaf[0], phis))
    return Program(
        truncated_backprop,
        (rule, phis, window),
        inner_steps=TASKS * STEPS,
        trips=STEPS,
        around=(addition, phis, window),
    )


def truncated_backprop(rule: UpdateRule, phis: BaseModel, window: windows.Window) -> Any:
    """The meta-gradient, whatever else the estimator returns, and the base models at the window's end."""
    ages = jnp.zeros(len(window.unlabelled), jnp.int32)
    tasks: Any = windows.TaskState(None, phis, ages, ages)  # type: ignore[arg-type]
    keys = jax.random.split(jax.random.key(0), len(ages))
    estimator = backprop.truncated_backprop(windows.window_loss(ridge=RIDGE))
    return base.over_tasks(estimator)(keys, rule, tasks, None, window)


def in_precision(rule: Callable[[], Any], precision: str) -> Program:
    """The meta-gradient with the update network in that precision."""
    return meta_gradient(rule().with_precision(precision))


def steps_on_table(columns: int) -> Program:
    """Inner steps of the compact rule on rows of so many columns, one after another as in use."""
    phi = initial_base_model(jax.random.key(1), (columns, *TABLE_HIDDEN))
    batches = jax.random.uniform(jax.random.key(2), (STEPS, TABLE_BATCH, columns))
    arguments = phi, batches
    unroll = partial(windows.unroll, rematerialise=False)
    return Program(unroll, (compact_rule(), *arguments), STEPS, trips=STEPS, around=(Addition(phi), *arguments))


def coarser() -> dict[str, Callable[[], Program]]:
    """Meta-gradients in less than float32, on devices with arithmetic for it."""
    if jax.default_backend() == "cpu":
        return {}
    return {
        f"meta-gradient, {name}, {precision}": partial(in_precision, rule, precision)
        for name, rule in {"published": published_rule, "compact": compact_rule}.items()
        for precision in ("tensorfloat32", "bfloat16")
    }


PROGRAMS: dict[str, Callable[[], Program]] = {
    "inner step, published": lambda: inner_step(published_rule()),
    "inner step, compact": lambda: inner_step(compact_rule()),
    "meta-gradient, published": lambda: meta_gradient(published_rule()),
    "meta-gradient, compact": lambda: meta_gradient(compact_rule()),
    "meta-gradient, compact, toy size": lambda: meta_gradient(compact_rule(), TOY_WIDTHS, TOY_BATCH),
    **{f"inner steps, compact, {columns:,} columns": partial(steps_on_table, columns) for columns in COLUMNS},
    **coarser(),
}
