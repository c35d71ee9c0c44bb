"""How a task shows images: thickness of strokes, blur, jitter, gamma, contrast."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.meta_train.tasks.jitter import jittered
from metaplastic.meta_train.tasks.source import Shown
from metaplastic.meta_train.tasks.spec import Tasks, Variety


def seen(
    key: PRNGKeyArray, task: PRNGKeyArray, images: Float[Array, "example double_side double_side"], spec: Tasks
) -> Shown:
    """Images in [0, 1] as a task shows them: with its strokes and tone, each with a jitter of its own, flattened."""
    task_share, task_drawing, task_tone = jax.random.split(task, 3)
    share = jax.random.uniform(task_share, minval=spec.jitter.least, maxval=1.0)
    images, coefficients = jittered(key, redrawn(task_drawing, images, spec.variety), spec.jitter, share=share)
    if images.shape[1] != spec.side:
        images = jax.image.resize(images, (len(images), spec.side, spec.side), "linear")
    return Shown(toned(task_tone, images.reshape(len(images), -1), spec.variety), coefficients)


def redrawn(
    task: PRNGKeyArray, images: Float[Array, "example side side"], variety: Variety
) -> Float[Array, "example side side"]:
    """Thicken, thin and blur images that are at twice their final resolution."""
    key_stroke, key_blur = jax.random.split(task)
    if variety.stroke:
        amount = variety.stroke * jax.random.uniform(key_stroke, minval=-1.0, maxval=1.0)
        # The minimum over neighbours is the maximum of the inverted image: one pass does either.
        thinner = amount < 0
        x = jnp.where(thinner, 1 - images, images)
        x = x + jnp.abs(amount) * (neighbourhood_maximum(x) - x)
        images = jnp.where(thinner, 1 - x, x)
    if variety.blur:
        width = 2 * variety.blur * jax.random.uniform(key_blur)
        at = jnp.arange(images.shape[1])
        kernel = jnp.exp(-0.5 * ((at[:, None] - at) / jnp.maximum(width, 0.1)) ** 2)
        kernel = kernel / kernel.sum(1, keepdims=True)
        images = kernel @ images @ kernel.T
    return images


def neighbourhood_maximum(images: Float[Array, "example side side"]) -> Float[Array, "example side side"]:
    """Maximum over each pixel and its eight neighbours."""
    for axis in (1, 2):
        padding = [(0, 0)] * 3
        padding[axis] = (1, 1)
        padded = jnp.pad(images, padding, mode="edge")
        shifted = [jax.lax.slice_in_dim(padded, start, start + images.shape[axis], axis=axis) for start in range(3)]
        images = jnp.maximum(jnp.maximum(*shifted[:2]), shifted[2])
    return images


def toned(task: PRNGKeyArray, pixels: Float[Array, "*shape"], variety: Variety) -> Float[Array, "*shape"]:
    """Swap bright and dark or not, then apply gamma; pixels are in [0, 1]."""
    key_inverted, key_gamma = jax.random.split(task)
    if variety.inverted:
        pixels = jnp.where(jax.random.bernoulli(key_inverted, variety.inverted), 1 - pixels, pixels)
    if variety.gamma:
        exponent = jnp.exp(jax.random.uniform(key_gamma, minval=-variety.gamma, maxval=variety.gamma))
        pixels = jnp.maximum(pixels, 1e-6) ** exponent
    return pixels
