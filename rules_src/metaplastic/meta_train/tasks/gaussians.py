"""Tasks with one Gaussian per class, in input space."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from metaplastic.meta_train.tasks import spec as config
from metaplastic.meta_train.tasks.source import COEFFICIENTS, Setting, Shown


class Gaussians(eqx.Module):
    """The numbers of the config's section."""

    separation: float = eqx.field(static=True)
    rank: int = eqx.field(static=True)
    spread: float = eqx.field(static=True)

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], setting: Setting) -> Shown:
        """Draw around the mean of each class: along the task's directions, plus noise, scaled to unit variance."""
        key_mean, key_direction, key_separation, key_spread = jax.random.split(task, 4)
        key_along, key_noise = jax.random.split(key)
        inputs, count = setting.side**2, len(classes)
        separation = self.separation * jax.random.uniform(key_separation, minval=0.5, maxval=1.0)
        spread = self.spread * jax.random.uniform(key_spread)
        means = separation * jax.random.normal(key_mean, (setting.classes, inputs)) * inputs**-0.5
        directions = spread * jax.random.normal(key_direction, (self.rank, inputs)) * inputs**-0.5
        x = means[classes] + jax.random.normal(key_along, (count, self.rank)) @ directions
        x = x + jax.random.normal(key_noise, x.shape)
        unit = (1 + (separation**2 + self.rank * spread**2) / inputs) ** -0.5
        return Shown(unit * x, jnp.zeros((count, COEFFICIENTS)))


def build(spec: config.Gaussians, pool: None) -> Gaussians:
    """Build the source that a section of the config describes; it needs no images."""
    return Gaussians(spec.separation, spec.rank, spec.spread)
