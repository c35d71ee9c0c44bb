"""The interface of a source of tasks.

A task is a PRNG key. What stays the same within the task is drawn from that key, everything else from another one. So
tasks of one source are drawn and shown under `vmap`, and replacing a task means replacing its key.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, PRNGKeyArray

COEFFICIENTS = 5
"""Coefficients of an image's jitter: rotation, size, shear, shift down and shift right."""


class Jitter(NamedTuple):
    """Bounds of an image's jitter; the section `Jitter` of the config gives their units."""

    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    least: float = 1.0


class Variety(NamedTuple):
    """How much tasks differ; the section `Variety` of the config describes each number."""

    inverted: float = 0.0
    gamma: float = 0.0
    stroke: float = 0.0
    blur: float = 0.0
    gain: float = 0.0
    noise: float = 0.0
    dropped: float = 0.0
    offset: float = 0.0
    scale: float = 0.0


class Setting(NamedTuple):
    """What all sources need to know about the tasks of one base model."""

    side: int
    """Height and width of images; a task has the square of it as inputs."""
    classes: int
    jitter: Jitter = Jitter()
    variety: Variety = Variety()
    coefficient_weight: float = 0.0
    """Weight of the jitter's coefficients as further regression targets."""


class Shown(NamedTuple):
    """Examples as a task shows them."""

    inputs: Float[Array, "example input"]
    coefficients: Float[Array, "example coefficient"]
    """Jitter of each example, of at most about unit variance; zero where there is none."""


@runtime_checkable
class Source(Protocol):
    """One kind of data. Its arrays are leaves of a pytree, so that compiled code does not hold them as constants."""

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], setting: Setting) -> Shown:
        """Draw one example for each entry of `classes`, numbers from 0 to `setting.classes` - 1."""
