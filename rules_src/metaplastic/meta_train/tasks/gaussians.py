"""Tasks of one Gaussian a class, in input space."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from metaplastic.meta_train.tasks.images import Pool
from metaplastic.meta_train.tasks.jitter import COEFFICIENTS
from metaplastic.meta_train.tasks.source import Shown
from metaplastic.meta_train.tasks.spec import Gaussians as GaussiansSpec
from metaplastic.meta_train.tasks.spec import Tasks


class Gaussians(eqx.Module):
    """Nothing but its config."""

    spec: GaussiansSpec = eqx.field(static=True)

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], spec: Tasks) -> Shown:
        """The mean of each example's class, plus steps along the task's directions, plus noise; of unit variance."""
        key_mean, key_direction, key_separation, key_spread = jax.random.split(task, 4)
        key_along, key_noise = jax.random.split(key)
        inputs, count = spec.side**2, len(classes)
        separation = self.spec.separation * jax.random.uniform(key_separation, minval=0.5, maxval=1.0)
        spread = self.spec.spread * jax.random.uniform(key_spread)
        means = separation * jax.random.normal(key_mean, (spec.classes, inputs)) * inputs**-0.5
        directions = spread * jax.random.normal(key_direction, (self.spec.rank, inputs)) * inputs**-0.5
        x = means[classes] + jax.random.normal(key_along, (count, self.spec.rank)) @ directions
        x = x + jax.random.normal(key_noise, x.shape)
        unit = (1 + (separation**2 + self.spec.rank * spread**2) / inputs) ** -0.5
        return Shown(unit * x, jnp.zeros((count, COEFFICIENTS)))


def build(spec: GaussiansSpec, pool: Pool) -> Gaussians:
    """The source that a section of the config describes; it has no use for a pool of images."""
    return Gaussians(spec)
