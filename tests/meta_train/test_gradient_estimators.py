"""Estimators of the meta-gradient where it is known: of a weight that theta pushes up and decay pulls down."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float
from metaplastic.meta_train.estimators.base import GradientEstimator, in_parts, over_tasks
from metaplastic.meta_train.estimators.evolution import antithetic
from metaplastic.meta_train.estimators.truncated_backprop import truncated_backprop
from metaplastic.meta_train.window import TaskState, Window, unroll, window_loss
from metaplastic.network import ACTIVATIONS, BaseModel, Layer
from metaplastic.update_rules.base import UpdateRule

TASKS, WINDOWS, STEPS = 4096, 3, 2
DECAY, TARGET, THETA, START = 0.9, 4.0, 0.3, 0.5


class Push(UpdateRule):
    theta: Float[Array, ""]

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        (layer,) = phi.layers
        return BaseModel((layer._replace(W=DECAY * layer.W + self.theta),), phi.activation)


def _loss(rule: UpdateRule, phi: BaseModel, window: Window) -> tuple[Array, BaseModel]:
    phi = unroll(rule, phi, window.unlabelled)
    return 0.5 * (phi.layers[0].W.sum() - TARGET) ** 2, phi


def _exact() -> float:
    """The derivative of the mean over windows of each window's loss, through the whole unroll."""

    def mean_loss(theta: float) -> Array:
        w, losses = START, []
        for step in range(1, WINDOWS * STEPS + 1):
            w = DECAY * w + theta
            if step % STEPS == 0:
                losses.append(0.5 * (w - TARGET) ** 2)
        return sum(losses) / len(losses)

    return float(jax.grad(mean_loss)(THETA))


def _states(tasks: int, seed: int = 0) -> TaskState:
    W = jnp.full((tasks, 1, 1), START)
    phi = BaseModel((Layer(W, jnp.zeros((tasks, 1)), W),), ACTIVATIONS["relu"])
    return TaskState(None, phi, jnp.zeros(tasks, int), jnp.full(tasks, WINDOWS * STEPS))


def _window(tasks: int) -> Window:
    return Window(jnp.zeros((tasks, STEPS, 1, 1)), jnp.zeros((tasks, 2, 1, 1)), jnp.zeros((tasks, 2, 1, 1)))


RULE = Push(jnp.array(THETA))


def _estimates(estimator: GradientEstimator) -> np.ndarray:
    """Each task's estimate, averaged over its unroll. The ages are those of tasks that start with it."""
    states, total = _states(TASKS), jnp.zeros(TASKS)
    carry = jax.vmap(estimator.begin, in_axes=(0, None, 0))(_keys(99), RULE, states.phi)
    for window in range(WINDOWS):
        estimate = jax.jit(jax.vmap(estimator.estimate, in_axes=(0, None, 0, 0, 0)))
        found = estimate(_keys(window), RULE, states, carry, _window(TASKS))
        states, carry = states._replace(phi=found.phi, age=states.age + STEPS), found.carry
        total = total + found.gradient.theta
    return np.asarray(total / WINDOWS, np.float64)


def _keys(seed: int, tasks: int = TASKS) -> jax.Array:
    return jax.random.split(jax.random.key(seed), tasks)


@pytest.mark.parametrize("reuse", [False, True], ids=["pes", "nres"])
def test_evolution_strategies_are_unbiased_where_truncated_backprop_is_not(reuse: bool) -> None:
    estimates = _estimates(antithetic(_loss, 0.1, reuse=reuse))
    error = estimates.std() / TASKS**0.5
    assert error < 0.1 * abs(_exact())
    assert abs(estimates.mean() - _exact()) < 4 * error
    truncated = _estimates(truncated_backprop(_loss))
    assert abs(truncated.mean() - _exact()) > 0.3 * abs(_exact())


@pytest.mark.parametrize("reuse", [False, True], ids=["pes", "nres"])
def test_a_replaced_task_starts_with_two_equal_base_models_and_new_noise(reuse: bool) -> None:
    estimator, states = antithetic(_loss, 0.1, reuse=reuse), _states(2)
    carry = jax.vmap(estimator.begin, in_axes=(0, None, 0))(_keys(9, 2), RULE, states.phi)
    stale = carry._replace(
        noise=Push(jnp.full(2, 7.0)), minus=jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), carry.minus)
    )
    estimate = jax.vmap(estimator.estimate, in_axes=(0, None, 0, 0, 0))
    found = estimate(_keys(1, 2), RULE, states, stale, _window(2))
    fresh = estimate(_keys(1, 2), RULE, states, carry, _window(2))
    assert (jnp.abs(found.carry.noise.theta) < 1).all()
    np.testing.assert_array_equal(found.carry.minus.layers[0].W, fresh.carry.minus.layers[0].W)
    older = estimate(_keys(1, 2), RULE, states._replace(age=jnp.array([2, 2])), stale, _window(2))
    assert (jnp.abs(older.carry.noise.theta) > 5).all()


def test_parts_give_the_same_estimate() -> None:
    estimator = antithetic(_loss, 0.1, reuse=True)
    states = _states(8)
    carry = jax.vmap(estimator.begin, in_axes=(0, None, 0))(_keys(9, 8), RULE, states.phi)
    whole = over_tasks(estimator)(_keys(1, 8), RULE, states, carry, _window(8))
    parts = in_parts(over_tasks(estimator), 4)(_keys(1, 8), RULE, states, carry, _window(8))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_several_objectives_are_averaged_over_the_window() -> None:
    states = jax.tree.map(lambda leaf: leaf[0], _states(1))
    key_x, key_images = jax.random.split(jax.random.key(0))
    images = jax.random.normal(key_images, (2, 6, 1))
    targets = jax.nn.one_hot(jnp.tile(jnp.arange(2), (2, 3)), 2)
    window = Window(jax.random.normal(key_x, (4, 3, 1)), images, targets)
    each, ends = [], states.phi
    for x in jnp.split(window.unlabelled, 2):
        value, ends = window_loss(ridge=0.1)(RULE, ends, window._replace(unlabelled=x))
        each.append(value)
    mean, phi = window_loss(ridge=0.1, objective_every=2)(RULE, states.phi, window)
    np.testing.assert_allclose(mean, sum(each) / 2, rtol=1e-5)
    np.testing.assert_allclose(phi.layers[0].W, ends.layers[0].W, rtol=1e-5)
