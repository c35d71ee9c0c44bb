"""Tasks of tables: columns of several kinds, correlated by a few factors behind them, which differ between classes."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from metaplastic.meta_train.tasks import spec as config
from metaplastic.meta_train.tasks.source import COEFFICIENTS, Setting, Shown
from metaplastic.network import standardise

LEVELS = 3
"""Neighbouring columns of one kind; a category takes as many, one for each level."""


class Tables(eqx.Module):
    """The numbers of the config's section."""

    separation: float = eqx.field(static=True)
    factors: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], setting: Setting) -> Shown:
        """Draw rows, columns standardised over them; inputs beyond the task's columns are zero."""
        task_means, task_separation, task_loadings, task_noise, task_kinds, task_columns = jax.random.split(task, 6)
        key_factors, key_noise = jax.random.split(key)
        inputs, count = setting.side**2, len(classes)
        separation = self.separation * jax.random.uniform(task_separation, minval=0.5, maxval=1.0)
        means = separation * jax.random.normal(task_means, (setting.classes, self.factors))
        factors = means[classes] + jax.random.normal(key_factors, (count, self.factors))
        noise = jax.random.uniform(task_noise, (inputs,))
        x = standardise(factors @ jax.random.normal(task_loadings, (self.factors, inputs)))
        x = standardise(x + noise * jax.random.normal(key_noise, x.shape))
        # A quarter each: as they are, skewed, counts, and categories in place of which their levels are shown.
        kind = jax.random.randint(task_kinds, (-(-inputs // LEVELS),), 0, 4).repeat(LEVELS)[:inputs]
        skewed = jnp.exp(x)
        x = standardise(jnp.select([kind == 0, kind == 1, kind == 2], [x, skewed, jnp.round(skewed)], one_hot(x)))
        fewest = min(self.columns, inputs) / inputs
        kept = inputs * fewest ** jax.random.uniform(task_columns)
        return Shown(x * (jnp.arange(inputs) < kept), jnp.zeros((count, COEFFICIENTS)))


def one_hot(x: Float[Array, "row column"]) -> Bool[Array, "row column"]:
    """Return for every `LEVELS` neighbouring columns, of which the last may be fewer, which of them is the largest."""
    rows, columns = x.shape
    levels = jnp.pad(x, ((0, 0), (0, -columns % LEVELS)), constant_values=-jnp.inf).reshape(rows, -1, LEVELS)
    return (levels == levels.max(2, keepdims=True)).reshape(rows, -1)[:, :columns]


def build(spec: config.Tables, pool: None) -> Tables:
    """Build the source that a section of the config describes; it needs no images."""
    return Tables(spec.separation, spec.factors, spec.columns)
