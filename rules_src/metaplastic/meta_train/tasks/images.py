"""Tasks of images: random classes of a pool, jittered."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from metaplastic.meta_train.tasks import spec as config
from metaplastic.meta_train.tasks.appearance import seen
from metaplastic.meta_train.tasks.source import Setting, Shown


class Images(eqx.Module):
    """Images sorted by class, at twice the side at which tasks show them."""

    pixels: UInt8[Array, "image row column"]
    first: Int[Array, " class_"]
    """Index of each class's first image."""
    count: Int[Array, " class_"]
    """Number of images per class."""

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], setting: Setting) -> Shown:
        """Show random images of the task's classes, each jittered, in [0, 1]."""
        key_image, key_seen = jax.random.split(key)
        task_classes, task_seen = jax.random.split(task)
        chosen = jax.random.permutation(task_classes, len(self.first))[: setting.classes][classes]
        index = self.first[chosen] + jax.random.randint(key_image, classes.shape, 0, self.count[chosen])
        return seen(key_seen, task_seen, self.pixels[index].astype(jnp.float32) / 255, setting)


def build(spec: config.Images, pool: Images) -> Images:
    """Return the pool itself, the images of the dataset that a source names."""
    return pool
