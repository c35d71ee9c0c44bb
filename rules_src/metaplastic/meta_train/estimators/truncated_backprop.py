"""Truncated backpropagation: the base model that enters a window counts as constant."""

from collections.abc import Callable

import equinox as eqx
from jaxtyping import PRNGKeyArray

from metaplastic.meta_train.estimators.base import GradientEstimator, TaskEstimate
from metaplastic.meta_train.spec import TruncatedBackprop
from metaplastic.meta_train.window import TaskState, Window, WindowLoss
from metaplastic.update_rules.base import UpdateRule


def truncated_backprop(loss: WindowLoss) -> GradientEstimator:
    """Return the estimator that backpropagates through each window alone."""

    def estimate(key: PRNGKeyArray, rule: UpdateRule, state: TaskState, carry: None, window: Window) -> TaskEstimate:
        (value, phi), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(rule, state.phi, window)
        return TaskEstimate(gradient, phi, None, value)

    return GradientEstimator(lambda key, rule, phi: None, estimate)


def build(spec: TruncatedBackprop, loss: Callable[..., WindowLoss]) -> GradientEstimator:
    """Build the estimator that a section of the config describes; `loss` is `window_loss` except rematerialisation."""
    return truncated_backprop(loss(rematerialise=spec.rematerialise))
