"""Tasks of images: random classes of a pool, jittered."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from rules_src.config.tasks import Tasks
from rules_src.tasks.jitter import jittered
from rules_src.tasks.look import redrawn, toned
from rules_src.tasks.source import Shown


class Images(eqx.Module):
    """Images sorted by class, at twice the side of those that tasks show."""

    pixels: UInt8[Array, "image row column"]
    first: Int[Array, " class_"]
    """Index of each class's first image."""
    count: Int[Array, " class_"]
    """Number of each class's images."""

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], spec: Tasks) -> Shown:
        """Random images of the task's classes, each jittered, in [0, 1]."""
        key_image, key_seen = jax.random.split(key)
        task_classes, task_seen = jax.random.split(task)
        chosen = jax.random.permutation(task_classes, len(self.first))[: spec.classes][classes]
        index = self.first[chosen] + jax.random.randint(key_image, classes.shape, 0, self.count[chosen])
        return seen(key_seen, task_seen, self.pixels[index].astype(jnp.float32) / 255, spec)


def seen(
    key: PRNGKeyArray, task: PRNGKeyArray, images: Float[Array, "example double_side double_side"], spec: Tasks
) -> Shown:
    """Images in [0, 1] as a task shows them: with its strokes and tone, each with a jitter of its own, flattened."""
    task_share, task_drawing, task_tone = jax.random.split(task, 3)
    share = jax.random.uniform(task_share, minval=spec.jitter.least, maxval=1.0)
    images, coefficients = jittered(key, redrawn(task_drawing, images, spec.variety), spec.jitter, share=share)
    return Shown(toned(task_tone, images.reshape(len(images), -1), spec.variety), coefficients)
