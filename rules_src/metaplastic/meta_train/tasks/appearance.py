"""How images vary: thickness of strokes, blur, jitter, gamma and contrast."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.meta_train.tasks.source import COEFFICIENTS, Jitter, Setting, Shown, Variety

KNOTS = 4
"""Points per side of the grid on which elastic displacements are drawn."""


def seen(
    key: PRNGKeyArray, task: PRNGKeyArray, images: Float[Array, "example double_side double_side"], setting: Setting
) -> Shown:
    """Show images in [0, 1], flattened: with the strokes and tone of the task, each with its own jitter."""
    task_share, task_drawing, task_tone = jax.random.split(task, 3)
    share = jax.random.uniform(task_share, minval=setting.jitter.least, maxval=1.0)
    images, coefficients = jittered(key, redrawn(task_drawing, images, setting.variety), setting.jitter, share=share)
    if images.shape[1] != setting.side:
        images = jax.image.resize(images, (len(images), setting.side, setting.side), "linear")
    return Shown(toned(task_tone, images.reshape(len(images), -1), setting.variety), coefficients)


def augmented(
    key: PRNGKeyArray, images: Float[Array, "example side side channel"], jitter: Jitter
) -> Float[Array, "example side side channel"]:
    """Jitter each image at its own resolution, all its channels alike; zero bounds leave it as it is."""
    # `jittered` halves the side again, so every pixel becomes a square of four.
    doubled = images.repeat(2, axis=1).repeat(2, axis=2)
    return jnp.stack([jittered(key, doubled[..., c], jitter)[0] for c in range(images.shape[3])], axis=-1)


def jittered(
    key: PRNGKeyArray,
    images: Float[Array, "example double_side double_side"],
    jitter: Jitter,
    *,
    share: Float[Array, ""] | float = 1.0,
) -> tuple[Float[Array, "example side side"], Float[Array, "example 5"]]:
    """Jitter each image within `share` of the bounds, then halve its side by averaging 2x2 blocks.

    Sampling is bilinear at twice the final resolution. Beyond an image its edges continue.

    Returns:
        The images and, for each, the share of its bound that each coefficient has, in units of the standard deviation
        of a uniform draw. A coefficient whose bound is zero is zero.
    """
    count, side, _ = images.shape
    draws = share * jax.random.uniform(key, (COEFFICIENTS, count), minval=-1.0, maxval=1.0)
    angle, zoom = jnp.deg2rad(jitter.rotation) * draws[0], jnp.exp(-jitter.scale * draws[1])
    shear, shift = jitter.shear * draws[2], jitter.shift * side * draws[3:]
    cos, sin = zoom * jnp.cos(angle), zoom * jnp.sin(angle)

    centre = (side - 1) / 2
    maps = jnp.stack([cos, sin + cos * shear, shift[0], -sin, cos - sin * shear, shift[1]], axis=1).reshape(-1, 3)
    offsets = jnp.indices((side, side)).reshape(2, -1) - centre
    # A matrix product computes the coordinates once. Otherwise the compiler would repeat sines and exponentials for
    # each neighbour of each pixel.
    at = (maps @ jnp.concatenate([offsets, jnp.ones((1, side**2))])).reshape(count, 2, -1) + centre
    if jitter.elastic:
        at = at + jitter.elastic * side * share * smooth_fields(jax.random.fold_in(key, 1), count, side)
    sample = partial(jax.scipy.ndimage.map_coordinates, order=1, mode="nearest")
    sampled = jax.vmap(lambda image, at: sample(image, list(at)))(images, at)
    used = jnp.array([jitter.rotation, jitter.scale, jitter.shear, jitter.shift, jitter.shift]) > 0
    return sampled.reshape(count, side // 2, 2, side // 2, 2).mean((2, 4)), (draws * 3**0.5).T * used


def smooth_fields(key: PRNGKeyArray, count: int, side: int) -> Float[Array, "{count} 2 pixel"]:
    """Draw two fields per image, uniform in [-1, 1] on a coarse grid of points and linear in between."""
    knots = jax.random.uniform(key, (count, 2, KNOTS, KNOTS), minval=-1.0, maxval=1.0)
    at = jnp.linspace(0, KNOTS - 1, side)
    between = jnp.maximum(0, 1 - jnp.abs(at[:, None] - jnp.arange(KNOTS)))
    return (between @ knots @ between.T).reshape(count, 2, -1)


def redrawn(
    task: PRNGKeyArray, images: Float[Array, "example side side"], variety: Variety
) -> Float[Array, "example side side"]:
    """Thicken or thin the strokes of images at twice their final resolution, then blur them."""
    key_stroke, key_blur = jax.random.split(task)
    if variety.stroke:
        amount = variety.stroke * jax.random.uniform(key_stroke, minval=-1.0, maxval=1.0)
        # The minimum over neighbours is the maximum of the inverted image, so one pass does either.
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
    """Take the maximum over each pixel and its eight neighbours."""
    for window in ((1, 3, 1), (1, 1, 3)):
        images = jax.lax.reduce_window(images, -jnp.inf, jax.lax.max, window, (1, 1, 1), "SAME")
    return images


def toned(task: PRNGKeyArray, pixels: Float[Array, "*shape"], variety: Variety) -> Float[Array, "*shape"]:
    """Swap bright and dark in some tasks, then apply gamma; pixels are in [0, 1]."""
    key_inverted, key_gamma = jax.random.split(task)
    if variety.inverted:
        pixels = jnp.where(jax.random.bernoulli(key_inverted, variety.inverted), 1 - pixels, pixels)
    if variety.gamma:
        exponent = jnp.exp(jax.random.uniform(key_gamma, minval=-variety.gamma, maxval=variety.gamma))
        pixels = jnp.maximum(pixels, 1e-6) ** exponent
    return pixels
