"""Random rotation, size, shear, shift and elastic deformation of images, with the coefficients that were drawn."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.meta_train.tasks.spec import Jitter

COEFFICIENTS = 5
"""Rotation, size, shear, shift down and shift right."""

KNOTS = 4
"""Displacements are drawn on a grid of this many points a side."""


def jittered(
    key: PRNGKeyArray,
    images: Float[Array, "example double_side double_side"],
    jitter: Jitter,
    *,
    share: Float[Array, ""] | float = 1.0,
) -> tuple[Float[Array, "example side side"], Float[Array, "example 5"]]:
    """Jitter each image, then halve its side by averaging 2x2 blocks.

    Sampling is bilinear at twice the final resolution; beyond an image its edges go on.

    Args:
        key: all randomness.
        images: at twice the side of the result.
        jitter: bounds.
        share: what the bounds are multiplied with.

    Returns:
        The images and, for each, the share of its bound that each coefficient has, in units of the standard deviation
        of a uniform draw; a coefficient whose bound is zero is zero.
    """
    count, side, _ = images.shape
    draws = share * jax.random.uniform(key, (COEFFICIENTS, count), minval=-1.0, maxval=1.0)
    angle = jnp.deg2rad(jitter.rotation) * draws[0]
    zoom = jnp.exp(-jitter.scale * draws[1])
    shear = jitter.shear * draws[2]
    shift = jitter.shift * side * draws[3:]
    cos, sin = zoom * jnp.cos(angle), zoom * jnp.sin(angle)

    centre = (side - 1) / 2
    maps = jnp.stack([cos, sin + cos * shear, shift[0], -sin, cos - sin * shear, shift[1]], axis=1).reshape(-1, 3)
    offsets = jnp.indices((side, side)).reshape(2, -1) - centre
    # As a matrix product the coordinates are computed once; the compiler would else do it for each neighbour of each
    # pixel, sines and exponentials included.
    at = (maps @ jnp.concatenate([offsets, jnp.ones((1, side**2))])).reshape(count, 2, -1) + centre
    if jitter.elastic:
        at = at + jitter.elastic * side * share * smooth_fields(jax.random.fold_in(key, 1), count, side)
    sampled = jax.vmap(lambda image, at: jax.scipy.ndimage.map_coordinates(image, list(at), order=1, mode="nearest"))(
        images, at
    )
    used = jnp.array([jitter.rotation, jitter.scale, jitter.shear, jitter.shift, jitter.shift]) > 0
    return sampled.reshape(count, side // 2, 2, side // 2, 2).mean((2, 4)), (draws * 3**0.5).T * used


def smooth_fields(key: PRNGKeyArray, count: int, side: int) -> Float[Array, "{count} 2 pixel"]:
    """Two fields an image, uniform in [-1, 1] on a coarse grid of points and linear in between."""
    knots = jax.random.uniform(key, (count, 2, KNOTS, KNOTS), minval=-1.0, maxval=1.0)
    at = jnp.linspace(0, KNOTS - 1, side)
    between = jnp.maximum(0, 1 - jnp.abs(at[:, None] - jnp.arange(KNOTS)))
    return (between @ knots @ between.T).reshape(count, 2, -1)
