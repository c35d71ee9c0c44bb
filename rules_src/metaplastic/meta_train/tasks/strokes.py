"""Tasks of characters that nobody has written yet: each class has smooth strokes of its own, each example a wobble."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from scipy.interpolate import BSpline

from metaplastic.meta_train.tasks.images import Pool
from metaplastic.meta_train.tasks.look import seen
from metaplastic.meta_train.tasks.source import Shown
from metaplastic.meta_train.tasks.spec import Strokes as StrokesSpec
from metaplastic.meta_train.tasks.spec import Tasks

KNOTS = 5
"""Control points of a stroke."""

POINTS = 24
"""Places along a stroke where the pen leaves ink."""

SIZE = 0.7
"""Height or width, whichever is greater, of a character, as a share of the image side."""


class Strokes(eqx.Module):
    """Nothing but its config."""

    spec: StrokesSpec = eqx.field(static=True)

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], spec: Tasks) -> Shown:
        """Characters of the task's alphabet, each written anew and jittered, in [0, 1]."""
        key_wobble, key_pen, key_seen = jax.random.split(key, 3)
        task_alphabet, task_wobble, task_pen, task_seen = jax.random.split(task, 4)
        points, inked = alphabet(task_alphabet, spec.classes, self.spec.strokes)
        wobble = self.spec.wobble * jax.random.uniform(task_wobble, minval=0.3, maxval=1.0)
        shape = (len(classes), *points.shape[1:])
        written = points[classes] + wobble * jax.random.normal(key_wobble, shape)
        # Of the task, and of the example: a pen is kept through a text, pressed more or less.
        pressure = 0.3 * jax.random.normal(task_pen) + 0.15 * jax.random.normal(key_pen, (len(classes),))
        images = drawn(written, inked[classes], self.spec.pen * jnp.exp(pressure), 2 * spec.side)
        return seen(key_seen, task_seen, images, spec)


def alphabet(
    key: PRNGKeyArray, characters: int, strokes: int
) -> tuple[Float[Array, "{characters} {strokes} knot 2"], Float[Array, "{characters} {strokes}"]]:
    """Control points of the strokes of each character, and whether a stroke leaves ink; the first one does.

    Coordinates are shares of the image side, zero its middle, which is the middle of each character too.
    """
    key_points, key_count = jax.random.split(key)
    points = jax.random.uniform(key_points, (characters, strokes, KNOTS, 2), minval=-1.0, maxval=1.0)
    count = jax.random.randint(key_count, (characters, 1), 1, strokes + 1)
    inked = jnp.arange(strokes) < count
    path = spline() @ points
    lowest, highest = (
        extreme(path, axis=(1, 2), where=inked[..., None, None], initial=outside, keepdims=True)
        for extreme, outside in ((jnp.min, jnp.inf), (jnp.max, -jnp.inf))
    )
    extent = (highest - lowest).max(-1, keepdims=True)
    return SIZE * (points - (lowest + highest) / 2) / extent, inked.astype(points.dtype)


def spline() -> Float[np.ndarray, "point knot"]:
    """Weights of the control points of a clamped cubic B-spline at equal steps of its parameter."""
    degree = 3
    inner = np.linspace(0, 1, KNOTS - degree + 1)
    knots = np.concatenate([np.zeros(degree), inner, np.ones(degree)])
    at = np.linspace(0, 1, POINTS)
    return np.asarray(BSpline(knots, np.eye(KNOTS), degree)(at), np.float32)


def drawn(
    points: Float[Array, "example stroke knot 2"],
    inked: Float[Array, "example stroke"],
    pen: Float[Array, " example"],
    side: int,
) -> Float[Array, "example {side} {side}"]:
    """What a round pen leaves along strokes, white on black in [0, 1]; `pen` is its radius as a share of the side."""
    path = spline() @ points
    pixels = (jnp.arange(side) + 0.5) / side - 0.5
    # A Gaussian pen is separable: rows times columns, summed over the points along all strokes.
    distance = (path[..., None] - pixels) / pen[:, None, None, None, None]
    row, column = jnp.moveaxis(jnp.exp(-0.5 * distance**2), 3, 0)
    ink = jnp.einsum("espr,espc->erc", row * inked[..., None, None], column)
    # The fewer of a pen's widths lie between points, the more often it passes a place.
    return 1 - jnp.exp(-ink * (SIZE / POINTS) / pen[:, None, None])


def build(spec: StrokesSpec, pool: Pool) -> Strokes:
    """The source that a section of the config describes; it has no use for a pool of images."""
    return Strokes(spec)
