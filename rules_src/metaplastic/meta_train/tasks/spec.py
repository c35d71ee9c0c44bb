"""Config of the tasks that meta-training learns on: sources of data, jitter of images, variety between tasks."""

from typing import Annotated, Literal

from pydantic import Field

from metaplastic.config.base import Int, Kind, Name, PositiveFloat, PositiveInt, Section

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Exponent = Annotated[float, Field(ge=0, le=10)]
Probability = Annotated[float, Field(ge=0, le=1)]


class TaskSource(Kind):
    """Where tasks come from."""

    kind: str
    weight: PositiveFloat = 1.0
    """Share of the parallel tasks, relative to the other sources'."""

    @property
    def shows(self) -> str | None:
        """The dataset that its tasks show, if any."""
        return getattr(self, "dataset", None)


class Images(TaskSource):
    """Training images of a dataset, jittered; of letters those of the characters that are not held out."""

    kind: Literal["images"]
    dataset: Name
    """Key into `datasets`; it has to hold images of at least twice the tasks' side."""


class Projections(TaskSource):
    """Images of a dataset, jittered, behind a random layer of each task's own: data that look like no image."""

    kind: Literal["projections"]
    dataset: Name
    """Key into `datasets`, as for `images`."""
    bend: NonNegative = 3.0
    """Largest gain into the layer's tanh; a task draws its own, and at zero the layer is linear."""


class Gaussians(TaskSource):
    """One Gaussian a class: means of each task's own, and directions along which examples of all its classes vary."""

    kind: Literal["gaussians"]
    separation: PositiveFloat = 5.0
    """Largest distance of a class's mean from the middle, in standard deviations of an input's own noise."""
    rank: PositiveInt = 8
    """Number of directions along which examples vary."""
    spread: NonNegative = 3.0
    """Largest standard deviation along such a direction, in the same unit; a task draws its own from zero up."""


class Words(TaskSource):
    """Counts of words in short texts: few words are frequent, and each class has its own preferences."""

    kind: Literal["words"]
    length: PositiveFloat = 20.0
    """Words that a text of median length counts."""
    topicality: PositiveFloat = 1.0
    """Standard deviation of the logarithm of a word's frequency between classes."""


class Strokes(TaskSource):
    """Characters drawn on the fly: smooth strokes of each class's own, which wobble from example to example."""

    kind: Literal["strokes"]
    strokes: PositiveInt = 2
    """Largest number of strokes of a character."""
    wobble: NonNegative = 0.15
    """Largest standard deviation of a stroke's control points, as a share of the image side; a task draws its own."""
    pen: PositiveFloat = 0.05
    """Median radius of the pen, as a share of the image side."""


class Jitter(Section):
    """Jitter of each image, drawn uniformly between minus and plus these."""

    rotation: NonNegative = 8.0
    """Degrees."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Relative change of size."""
    shift: NonNegative = 0.05
    """Share of the image side."""
    shear: NonNegative = 0.1
    """Tangent of the shear angle."""
    elastic: NonNegative = 0.0
    """Smooth displacement of each part of an image, as a share of the image side."""
    least: Probability = 1.0
    """Smallest share of all of the above that a task may draw for itself; at 1 all tasks jitter alike."""


class Variety(Section):
    """What differs between tasks and stays the same within one; all off by default."""

    inverted: Probability = 0.0
    """Probability that bright and dark are swapped; images alone."""
    gamma: Exponent = 0.0
    """Pixel values are raised to exp of a number in +-this; images alone."""
    stroke: Probability = 0.0
    """Strokes are thickened or thinned by up to this share of half a pixel on each side; images alone."""
    blur: NonNegative = 0.0
    """Largest standard deviation in pixels of a Gaussian blur; images alone."""
    gain: Exponent = 0.0
    """Standard deviation of a log-normal gain per input."""
    noise: NonNegative = 0.0
    """Largest standard deviation of Gaussian noise of each input."""
    dropped: Probability = 0.0
    """Largest share of inputs held at zero, so that tasks differ in how many inputs they have."""
    offset: NonNegative = 0.0
    """Largest standard deviation of an offset per input."""
    scale: Exponent = 0.0
    """All inputs are multiplied by exp of a number in +-this."""


class Tasks(Section):
    """The task distribution: random classes of one source a task, seen through a permutation of its inputs."""

    side: PositiveInt = 7
    """Height and width of the images that a task shows; every source has its square of inputs."""
    classes: Annotated[Int, Field(ge=2)] = 10
    """Classes a task."""
    sources: Annotated[dict[Name, TaskSource], Field(min_length=1)] = {
        "letters": Images(kind="images", dataset="letters")
    }
    """Where tasks come from; every meta-step has the same number of tasks of each."""
    coefficient_weight: NonNegative = 0.0
    """Weight of an image's jitter as further regression targets beside its class, each of unit variance; 0 for none."""
    jitter: Jitter = Jitter()
    variety: Variety = Variety()
