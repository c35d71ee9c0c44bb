"""Tasks of images behind a random layer: classes and structure of real data in inputs that do not look like images."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from metaplastic.meta_train.tasks import spec as config
from metaplastic.meta_train.tasks.images import Images
from metaplastic.meta_train.tasks.source import Setting, Shown


class Projections(eqx.Module):
    """A pool of images and the largest gain into the random layer."""

    images: Images
    bend: float = eqx.field(static=True)

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], setting: Setting) -> Shown:
        """Send images through a random matrix, tanh and another matrix; the result has about unit variance."""
        task_images, key_in, key_out, key_bend = jax.random.split(task, 4)
        shown = self.images.show(key, task_images, classes, setting)
        inputs = shown.inputs.shape[1]
        matrix_in, matrix_out = (jax.random.normal(k, (inputs, inputs)) * inputs**-0.5 for k in (key_in, key_out))
        # As the gain goes to zero, tanh(gain u) / gain goes to u.
        gain = jnp.maximum(self.bend * jax.random.uniform(key_bend), 1e-3)
        hidden = jnp.tanh(gain * ((2 * shown.inputs - 1) @ matrix_in)) / gain
        return shown._replace(inputs=hidden @ matrix_out)


def build(spec: config.Projections, pool: Images) -> Projections:
    """Build the source that a section of the config describes."""
    return Projections(pool, spec.bend)
