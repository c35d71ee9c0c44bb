"""Examples of tasks of several sources at once."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.meta_train.tasks.source import Shown, Source
from metaplastic.meta_train.tasks.spec import Tasks
from metaplastic.meta_train.tasks.view import viewed


def shares(weights: Mapping[str, float], count: int) -> dict[str, int]:
    """How many of `count` tasks each source gets: at least one, and otherwise as nearly in proportion as can be."""
    given = dict.fromkeys(weights, 1)
    while sum(given.values()) < count:
        # Highest averages: exact wherever the weights divide the count.
        given[max(given, key=lambda name: weights[name] / (given[name] + 1))] += 1
    return given


def show(key: PRNGKeyArray, task: PRNGKeyArray, source: Source, classes: Int[Array, " example"], spec: Tasks) -> Shown:
    """One example of the task for each entry of `classes`, with permuted inputs and the task's variety."""
    key_source, key_view = jax.random.split(key)
    task_source, task_view = jax.random.split(task)
    shown = source.show(key_source, task_source, classes, spec)
    return shown._replace(inputs=viewed(key_view, task_view, shown.inputs, spec.variety))


def random_classes(key: PRNGKeyArray, count: int, spec: Tasks) -> Int[Array, " {count}"]:
    """Classes of unlabelled examples."""
    return jax.random.randint(key, (count,), 0, spec.classes)


def every_class(per_class: int, spec: Tasks) -> Int[Array, " example"]:
    """`per_class` examples of every class."""
    return jnp.repeat(jnp.arange(spec.classes), per_class)


def regression_targets(
    classes: Int[Array, " example"], coefficients: Float[Array, "example coefficient"], spec: Tasks
) -> Float[Array, "example target"]:
    """One-hot classes, then weighted coefficients where these have a weight."""
    one_hot = jax.nn.one_hot(classes, spec.classes)
    if not spec.coefficient_weight:
        return one_hot
    return jnp.concatenate([one_hot, spec.coefficient_weight * coefficients], axis=1)
