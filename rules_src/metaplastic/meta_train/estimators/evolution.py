"""Evolution strategies: the meta-gradient from pairs of unrolls with perturbed thetas, however long the unroll.

Two base models learn each task, one with theta + delta, the other with theta - delta; the first is the task's own. A
window's estimate is score / (2 sigma^2) * (loss of the first - loss of the second).
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PRNGKeyArray

from metaplastic.meta_train.estimators.base import GradientEstimator, TaskEstimate
from metaplastic.meta_train.spec import Evolution
from metaplastic.meta_train.window import TaskState, Window, WindowLoss
from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule


class Pair(NamedTuple):
    """What goes from window to window besides the base model at theta + delta."""

    noise: UpdateRule
    """Shaped like the rule."""
    minus: BaseModel
    """The base model at theta - delta."""


def antithetic(loss: WindowLoss, sigma: float, *, reuse: bool) -> GradientEstimator:
    """Return the estimator of a loss whose perturbations have standard deviation `sigma`.

    With `reuse` these are noise-reuse evolution strategies (Li et al. 2023): a task keeps its delta to its end, and
    delta is the score. Without it they are persistent evolution strategies (Vicol et al. 2021): every window has a new
    delta, and their sum is the score.
    """

    def gaussian(key: PRNGKeyArray, rule: UpdateRule) -> UpdateRule:
        return jax.tree.map(lambda a: sigma * a, optax.tree.random_like(key, rule, sampler=jax.random.normal))

    def start(key: PRNGKeyArray, rule: UpdateRule, phi: BaseModel) -> Pair:
        return Pair(gaussian(key, rule) if reuse else jax.tree.map(jnp.zeros_like, rule), phi)

    def estimate(key: PRNGKeyArray, rule: UpdateRule, state: TaskState, carry: Pair, window: Window) -> TaskEstimate:
        key_begin, key_step = jax.random.split(key)
        # A task of age 0 has just replaced another.
        fresh = state.age == 0
        carry = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), start(key_begin, rule, state.phi), carry)
        delta = carry.noise if reuse else gaussian(key_step, rule)
        score = delta if reuse else jax.tree.map(jnp.add, carry.noise, delta)
        rules = jax.tree.map(lambda a, d: jnp.stack([a + d, a - d]), rule, delta)
        phis = jax.tree.map(lambda a, b: jnp.stack([a, b]), state.phi, carry.minus)
        losses, phis = eqx.filter_vmap(loss, in_axes=(0, 0, None))(rules, phis, window)
        slope = (losses[0] - losses[1]) / (2 * sigma**2)
        plus, minus = (jax.tree.map(lambda a, i=i: a[i], phis) for i in (0, 1))
        return TaskEstimate(jax.tree.map(lambda s: slope * s, score), plus, Pair(score, minus), losses.mean())

    return GradientEstimator(start, estimate)


def build(spec: Evolution, loss: Callable[[], WindowLoss]) -> GradientEstimator:
    """Build the estimator that a section of the config describes; `loss` is `window_loss` with its arguments."""
    return antithetic(loss(), spec.sigma, reuse=spec.reuse)
