"""Meta-training tasks of rendered characters: random subsets, permuted inputs, jitter, and variety between tasks.

A task is data, not code: a tuple of arrays drawn from a PRNG key, so many tasks are drawn and shown under `vmap`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rules_src.config.meta_train import Jitter, LetterTasks


class Glyphs(NamedTuple):
    """The characters and faces that tasks may draw from, at twice the side of the images they show."""

    pixels: Float[Array, "face character row column"]
    """In [0, 1]."""


class LetterTask(NamedTuple):
    """What stays the same within one task."""

    characters: Int[Array, " class_"]
    """The task's classes, as indices into `Glyphs`."""
    permutation: Int[Array, " input"]
    """Base-model input j shows pixel `permutation[j]`."""
    inverted: Float[Array, ""]
    """One where bright and dark are swapped, else zero."""
    exponent: Float[Array, ""]
    """Power that pixel values are raised to."""
    gain: Float[Array, " input"]
    """Factor of each input; zero where the input is dropped."""
    noise: Float[Array, ""]
    """Standard deviation of the noise added to each input."""


def sample_task(key: PRNGKeyArray, spec: LetterTasks, characters: int) -> LetterTask:
    """Draw a task with `spec.classes` of the given number of characters."""
    inputs, variety = spec.side**2, spec.variety
    keys = jax.random.split(key, 7)
    dropped_share = variety.dropped * jax.random.uniform(keys[5])
    kept = jax.random.uniform(keys[6], (inputs,)) >= dropped_share
    return LetterTask(
        characters=jax.random.permutation(keys[0], characters)[: spec.classes],
        permutation=jax.random.permutation(keys[1], inputs),
        inverted=jax.random.bernoulli(keys[2], variety.inverted).astype(jnp.float32),
        exponent=jnp.exp(jax.random.uniform(keys[3], minval=-variety.gamma, maxval=variety.gamma)),
        gain=kept * jnp.exp(variety.gain * jax.random.normal(keys[4], (inputs,))),
        noise=variety.noise * jax.random.uniform(jax.random.fold_in(key, 7)),
    )


def sample_unlabelled(
    key: PRNGKeyArray, task: LetterTask, glyphs: Glyphs, spec: LetterTasks, shape: tuple[int, ...]
) -> Float[Array, "*shape input"]:
    """Draw examples of random classes of the task."""
    key_class, key_show = jax.random.split(key)
    count = 1
    for size in shape:
        count *= size
    classes = jax.random.randint(key_class, (count,), 0, len(task.characters))
    return show(key_show, task, glyphs, spec, classes).reshape(*shape, -1)


def sample_labelled(
    key: PRNGKeyArray, task: LetterTask, glyphs: Glyphs, spec: LetterTasks, per_class: int
) -> tuple[Float[Array, "example input"], Float[Array, "example class_"]]:
    """Draw `per_class` examples of every class, with one-hot labels."""
    classes = jnp.repeat(jnp.arange(spec.classes), per_class)
    return show(key, task, glyphs, spec, classes), jax.nn.one_hot(classes, spec.classes)


def show(
    key: PRNGKeyArray, task: LetterTask, glyphs: Glyphs, spec: LetterTasks, classes: Int[Array, " example"]
) -> Float[Array, "example input"]:
    """One jittered image of a random face for each entry of `classes`, as the task shows it."""
    key_face, key_jitter, key_noise = jax.random.split(key, 3)
    faces = jax.random.randint(key_face, classes.shape, 0, len(glyphs.pixels))
    images = jittered(key_jitter, glyphs.pixels[faces, task.characters[classes]], spec.jitter)
    x = images.reshape(len(images), -1)[:, task.permutation]
    x = task.inverted + (1.0 - 2.0 * task.inverted) * x
    x = jnp.maximum(x, 1e-6) ** task.exponent
    x = x + task.noise * jax.random.normal(key_noise, x.shape)
    return x * task.gain


def jittered(
    key: PRNGKeyArray, images: Float[Array, "example double_side double_side"], jitter: Jitter
) -> Float[Array, "example side side"]:
    """Rotate, scale, shear and shift each image at random, then halve its side by averaging 2x2 blocks.

    Sampling is bilinear at twice the final resolution; what lies outside the image is zero.
    """
    count, side, _ = images.shape
    draws = jax.random.uniform(key, (5, count), minval=-1.0, maxval=1.0)
    angle = jnp.deg2rad(jitter.rotation) * draws[0]
    zoom = jnp.exp(-jitter.scale * draws[1])
    shear = jitter.shear * draws[2]
    shift = jitter.shift * side * draws[3:]
    cos, sin = zoom * jnp.cos(angle), zoom * jnp.sin(angle)

    centre = (side - 1) / 2
    row, column = jnp.meshgrid(jnp.arange(side) - centre, jnp.arange(side) - centre, indexing="ij")
    row, column = row.reshape(-1), column.reshape(-1)
    source_row = cos[:, None] * row + (sin + cos * shear)[:, None] * column + centre + shift[0][:, None]
    source_column = -sin[:, None] * row + (cos - sin * shear)[:, None] * column + centre + shift[1][:, None]
    sampled = jax.vmap(lambda image, *at: jax.scipy.ndimage.map_coordinates(image, list(at), order=1))(
        images, source_row, source_column
    )
    return sampled.reshape(count, side // 2, 2, side // 2, 2).mean((2, 4))
