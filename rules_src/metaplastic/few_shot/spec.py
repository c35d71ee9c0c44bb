"""Config of few-shot learning: readouts on few labels, episodes, partitions."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from metaplastic.config.base import Increasing, Kind, PositiveFloat, PositiveInt, Section, Seed

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Way = Annotated[int, Field(ge=2)]


class Shape(Section):
    """An N-way K-shot episode."""

    way: Way = 5
    """Classes."""
    shots: PositiveInt = 1
    """Labelled examples a class, the support."""
    queries: PositiveInt = 5
    """Examples a class that are to be labelled."""


class Episodes(Section):
    """Evaluation episodes, drawn once and shared by all learners."""

    split: Literal["test", "validation"] = "test"
    """Split of the dataset whose labels they are of."""
    ways: Annotated[list[Way], Increasing] = [5, 20]
    """Classes an episode."""
    shots: Annotated[list[PositiveInt], Increasing] = [1, 5]
    """Labelled examples a class."""
    queries: PositiveInt = 5
    """Examples a class that are to be labelled."""
    episodes: Annotated[int, Field(ge=2)] = 1000
    """Of each way and number of shots."""
    seed: Seed = 0
    """Seed of the draws."""


class FewShot(Section):
    """K labelled examples a class fit a readout on frozen features; the whole test split scores it."""

    shots: Annotated[list[PositiveInt], Increasing] = [1, 2, 5, 10]
    """Labelled examples a class."""
    draws: Annotated[int, Field(ge=2, le=10000)] = 20
    """Independent draws of the labelled examples, the same for every method."""
    draws_over_inner_steps: Annotated[int, Field(ge=2, le=10000)] | None = None
    """Draws behind the curves over inner steps, the first of the above; by default all of them."""
    logistic_c: PositiveFloat = 1.0
    """Inverse regularisation of the logistic regression, on features of unit mean variance."""
    ridge: PositiveFloat = 0.1
    """Penalty of the ridge readout, on features of unit mean variance."""
    seed: Seed = 0
    """Seed of the label draws."""


class Partition(Kind):
    """What all partitions share."""

    needs_features: ClassVar[bool] = True
    kind: str
    partitions: PositiveInt
    """How many; of attributes, at most."""
    members: PositiveInt = 6
    """Fewest members of a cluster: as many as shots and queries of the learners that are to use it. Smaller ones are
    dropped."""
    seed: Seed = 0


class Clusters(Partition):
    """k-means clusters of an embedding, of which all but the first are scaled at random along each feature."""

    kind: Literal["k-means"]
    clusters: Annotated[int, Field(ge=2)] = 500
    """Of each partition, before small ones are dropped."""
    partitions: PositiveInt = 100
    restarts: PositiveInt = 1
    """Starts of each k-means, the best of which counts."""
    accepted: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Least share of clusters that have enough members; k-means is repeated until it is reached."""
    attempts: PositiveInt = 10
    """Repetitions until that is an error."""
    library: Literal["scikit-learn", "faiss"] = "scikit-learn"
    """What does it; faiss, which has to be installed, is faster and finds other clusters."""


class Hyperplanes(Partition):
    """Zones between random hyperplanes through an embedding."""

    kind: Literal["hyperplanes"]
    way: Annotated[int, Field(ge=2)] = 20
    """Classes of the tasks: there are as many planes as it takes to have that many zones."""
    partitions: PositiveInt = 2400
    candidates: PositiveInt = 1000
    """Planes to choose from."""
    offset: NonNegative = 0.8
    """The point that a plane goes through is drawn from plus or minus this in every feature."""
    margin: NonNegative = 0.0
    """Examples nearer to a plane are on neither side of it."""
    side: PositiveInt = 10
    """Examples on either side of a plane, in multiples of `members`."""
    attempts: PositiveInt = 100
    """Draws of planes that leave too few zones until that is an error."""


class Random(Partition):
    """Every example in a cluster drawn at random: what tasks without any similarity are worth."""

    needs_features: ClassVar[bool] = False
    kind: Literal["random"]
    clusters: Annotated[int, Field(ge=2)] = 500
    partitions: PositiveInt = 100


class Labels(Partition):
    """The true labels: the oracle."""

    needs_features: ClassVar[bool] = False
    kind: Literal["labels"]
    partitions: PositiveInt = 500
    """Of a dataset with attributes, drawn at random where there are more; by labels there is one."""
