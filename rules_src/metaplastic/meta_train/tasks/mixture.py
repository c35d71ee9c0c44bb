"""Examples and targets of tasks from several sources at once."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.meta_train.tasks.source import Setting, Shown, Source, Variety


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


def varied(
    key: PRNGKeyArray, task: PRNGKeyArray, x: Float[Array, "example input"], variety: Variety
) -> Float[Array, "example input"]:
    """Show inputs of any kind in the task's own order, some dropped, with its own gain, noise and offset each.

    `key` draws the noise, `task` all that the examples share.
    """
    inputs = x.shape[1]
    order, gain, dropped, kept, noise, offset, scale = jax.random.split(task, 7)
    x = x[:, jax.random.permutation(order, inputs)]
    if variety.noise:
        x = x + variety.noise * jax.random.uniform(noise) * jax.random.normal(key, x.shape)
    if variety.gain:
        x = x * jnp.exp(variety.gain * jax.random.normal(gain, (inputs,)))
    if variety.offset:
        key_size, key_offset = jax.random.split(offset)
        x = x + variety.offset * jax.random.uniform(key_size) * jax.random.normal(key_offset, (inputs,))
    if variety.scale:
        x = x * jnp.exp(jax.random.uniform(scale, minval=-variety.scale, maxval=variety.scale))
    if variety.dropped:
        x = x * (jax.random.uniform(kept, (inputs,)) >= variety.dropped * jax.random.uniform(dropped))
    return x


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
