"""Config of the tasks that meta-training learns on: sources of data, jitter of images, variety between tasks."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from metaplastic.config.base import Kind, Name, NonNegative, PositiveFloat, PositiveInt, Section, TwoOrMore

Exponent = Annotated[float, Field(ge=0, le=10)]
Probability = Annotated[float, Field(ge=0, le=1)]


class TaskSource(Kind):
    """Where tasks come from."""

    dataset: ClassVar[str | None]
    """Key into `datasets` of the dataset that the source shows, if it shows one."""
    kind: str
    weight: PositiveFloat = 1.0
    """Share of the parallel tasks, relative to the other sources."""


class Generated(TaskSource):
    """A source that needs no dataset."""

    dataset: ClassVar[None] = None


class Images(TaskSource):
    """Jittered training images of a dataset; of letters, only characters that are not held out."""

    kind: Literal["images"]
    dataset: Name  # type: ignore[misc]
    """Key into `datasets`; its images have to be at least twice as large as the tasks' side."""


class Projections(TaskSource):
    """Jittered images of a dataset behind a random layer that each task draws: data that do not look like images."""

    kind: Literal["projections"]
    dataset: Name  # type: ignore[misc]
    """Key into `datasets`, as for `images`."""
    bend: NonNegative = 3.0
    """Largest gain into the layer's tanh; each task draws its own, and at zero the layer is linear."""


class Gaussians(Generated):
    """One Gaussian per class: each task draws the means, and the directions along which all examples vary."""

    kind: Literal["gaussians"]
    separation: PositiveFloat = 5.0
    """Largest distance of a class's mean from the middle, in standard deviations of an input's own noise."""
    rank: PositiveInt = 8
    """Number of directions along which examples vary."""
    spread: NonNegative = 3.0
    """Largest standard deviation along such a direction, in the same unit; each task draws its own, from zero up."""


class Words(Generated):
    """Counts of words in short texts: few words are frequent, and each class has its own preferences."""

    kind: Literal["words"]
    length: PositiveFloat = 20.0
    """Number of words in a text of median length."""
    lengths: Exponent = 0.0
    """Standard deviation between tasks of the logarithm of that number."""
    topicality: PositiveFloat = 1.0
    """Standard deviation of the logarithm of a word's frequency between classes."""
    common: Probability = 0.0
    """Largest share of the words, from the most frequent one down, that no class prefers; each task draws its own."""
    binary: Probability = 0.0
    """Probability that a task shows which words occur in place of how often."""


class Tables(Generated):
    """Rows of standardised columns, plain, skewed, counts or levels of categories, behind which lie a few factors."""

    kind: Literal["tables"]
    separation: PositiveFloat = 1.0
    """Largest standard deviation of a factor between classes, in units of that within a class."""
    factors: PositiveInt = 5
    """Number of factors."""
    columns: PositiveInt = 4
    """Smallest number of columns; each task draws its own, and further inputs are zero."""


class Strokes(Generated):
    """Characters drawn on the fly: each class has its own smooth strokes, which wobble from example to example."""

    kind: Literal["strokes"]
    strokes: PositiveInt = 2
    """Largest number of strokes of a character."""
    wobble: NonNegative = 0.15
    """Largest standard deviation of a stroke's control points, a share of the image side; each task draws its own."""
    pen: PositiveFloat = 0.05
    """Median radius of the pen, as a share of the image side."""


class Jitter(Section):
    """Jitter of each image, drawn uniformly between minus and plus these bounds."""

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
    """Smallest share of all these bounds that a task may draw for itself; at 1 all tasks jitter alike."""


class Variety(Section):
    """Differences between tasks, constant within a task; all are off by default."""

    inverted: Probability = 0.0
    """Probability that bright and dark are swapped; images only."""
    gamma: Exponent = 0.0
    """Pixel values are raised to exp of a number between minus and plus this; images only."""
    stroke: Probability = 0.0
    """Strokes get thicker or thinner by up to this share of half a pixel on each side; images only."""
    blur: NonNegative = 0.0
    """Largest standard deviation of a Gaussian blur, in pixels; images only."""
    gain: Exponent = 0.0
    """Standard deviation of a log-normal gain per input."""
    noise: NonNegative = 0.0
    """Largest standard deviation of Gaussian noise on each input."""
    dropped: Probability = 0.0
    """Largest share of inputs held at zero, so that tasks differ in their number of inputs."""
    offset: NonNegative = 0.0
    """Largest standard deviation of an offset per input."""
    scale: Exponent = 0.0
    """All inputs are multiplied by exp of a number between minus and plus this."""


class Tasks(Section):
    """The task distribution: each task shows random classes of one source through a permutation of its inputs."""

    side: PositiveInt = 7
    """Height and width of the images that a task shows; tasks of every source have the square of it as inputs."""
    classes: TwoOrMore = 10
    """Classes per task."""
    sources: Annotated[dict[Name, TaskSource], Field(min_length=1)] = {
        "letters": Images(kind="images", dataset="letters")
    }
    """Where tasks come from; the number of tasks from each source is the same in every meta-step."""
    coefficient_weight: NonNegative = 0.0
    """Weight of an image's jitter as further regression targets beside its class, each of unit variance; 0 for none."""
    jitter: Jitter = Jitter()
    variety: Variety = Variety()
