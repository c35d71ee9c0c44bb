"""Tasks of invented characters: each class has its own smooth strokes, and each example of it wobbles."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from scipy.interpolate import BSpline

from metaplastic.meta_train.tasks import spec as config
from metaplastic.meta_train.tasks.appearance import seen
from metaplastic.meta_train.tasks.source import Setting, Shown

KNOTS = 5
"""Control points of a stroke."""
POINTS = 24
"""Places along a stroke where the pen leaves ink."""
SIZE = 0.7
"""Height or width of a character, whichever is greater, as a share of the image side."""


class Strokes(eqx.Module):
    """The numbers of the config's section."""

    strokes: int = eqx.field(static=True)
    wobble: float = eqx.field(static=True)
    pen: float = eqx.field(static=True)

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], setting: Setting) -> Shown:
        """Write characters of the task's alphabet anew and jitter each; pixels are in [0, 1]."""
        key_wobble, key_pen, key_seen = jax.random.split(key, 3)
        task_alphabet, task_wobble, task_pen, task_seen = jax.random.split(task, 4)
        points, inked = alphabet(task_alphabet, setting.classes, self.strokes)
        wobble = self.wobble * jax.random.uniform(task_wobble, minval=0.3, maxval=1.0)
        shape = (len(classes), *points.shape[1:])
        written = points[classes] + wobble * jax.random.normal(key_wobble, shape)
        # A writer keeps one pen for a text but presses it more or less.
        pressure = 0.3 * jax.random.normal(task_pen) + 0.15 * jax.random.normal(key_pen, (len(classes),))
        images = pictured(written, inked[classes], self.pen * jnp.exp(pressure), 2 * setting.side)
        return seen(key_seen, task_seen, images, setting)


def alphabet(
    key: PRNGKeyArray, characters: int, strokes: int
) -> tuple[Float[Array, "{characters} {strokes} knot 2"], Float[Array, "{characters} {strokes}"]]:
    """Draw the control points of each character's strokes, and whether a stroke leaves ink; the first one does.

    Coordinates are shares of the image side, with zero in the middle of the image and of each character.
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
    """Return the weights of a clamped cubic B-spline's control points at equal steps of its parameter."""
    degree = 3
    inner = np.linspace(0, 1, KNOTS - degree + 1)
    knots = np.concatenate([np.zeros(degree), inner, np.ones(degree)])
    at = np.linspace(0, 1, POINTS)
    return np.asarray(BSpline(knots, np.eye(KNOTS), degree)(at), np.float32)


def pictured(
    points: Float[Array, "example stroke knot 2"],
    inked: Float[Array, "example stroke"],
    pen: Float[Array, " example"],
    side: int,
) -> Float[Array, "example {side} {side}"]:
    """Draw strokes with a round pen, white on black in [0, 1]; `pen` is its radius as a share of the side."""
    path = spline() @ points
    pixels = (jnp.arange(side) + 0.5) / side - 0.5
    # A Gaussian pen is separable: rows times columns, summed over the points along all strokes.
    distance = (path[..., None] - pixels) / pen[:, None, None, None, None]
    row, column = jnp.moveaxis(jnp.exp(-0.5 * distance**2), 3, 0)
    ink = jnp.einsum("espr,espc->erc", row * inked[..., None, None], column)
    # The fewer pen widths lie between two points, the more often the pen passes a place.
    return 1 - jnp.exp(-ink * (SIZE / POINTS) / pen[:, None, None])


def build(spec: config.Strokes, pool: None) -> Strokes:
    """Build the source that a section of the config describes; it needs no images."""
    return Strokes(spec.strokes, spec.wobble, spec.pen)
