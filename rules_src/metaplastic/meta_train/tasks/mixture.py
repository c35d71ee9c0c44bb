"""Examples and targets of tasks from several sources at once."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.meta_train.tasks.inputs import varied
from metaplastic.meta_train.tasks.source import Setting, Shown, Source


def shares(weights: Mapping[str, float], count: int) -> dict[str, int]:
    """Share `count` tasks out over sources: at least one each, otherwise as nearly in proportion as possible."""
    given = dict.fromkeys(weights, 1)
    while sum(given.values()) < count:
        # Highest averages are exact wherever the weights divide the count.
        given[max(given, key=lambda name: weights[name] / (given[name] + 1))] += 1
    return given


def show(
    key: PRNGKeyArray, task: PRNGKeyArray, source: Source, classes: Int[Array, " example"], setting: Setting
) -> Shown:
    """Show one example of the task for each entry of `classes`, with permuted inputs and the task's variety."""
    key_source, key_inputs = jax.random.split(key)
    task_source, task_inputs = jax.random.split(task)
    shown = source.show(key_source, task_source, classes, setting)
    return shown._replace(inputs=varied(key_inputs, task_inputs, shown.inputs, setting.variety))


def random_classes(key: PRNGKeyArray, count: int, setting: Setting) -> Int[Array, " {count}"]:
    """Draw the classes of unlabelled examples."""
    return jax.random.randint(key, (count,), 0, setting.classes)


def every_class(per_class: int, setting: Setting) -> Int[Array, " example"]:
    """List every class `per_class` times."""
    return jnp.repeat(jnp.arange(setting.classes), per_class)


def regression_targets(
    classes: Int[Array, " example"], coefficients: Float[Array, "example coefficient"], setting: Setting
) -> Float[Array, "example target"]:
    """Return one-hot classes, followed by weighted coefficients where these have a weight."""
    one_hot = jax.nn.one_hot(classes, setting.classes)
    if not setting.coefficient_weight:
        return one_hot
    return jnp.concatenate([one_hot, setting.coefficient_weight * coefficients], axis=1)
