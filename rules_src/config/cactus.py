"""Config of partitions: which examples pseudo-tasks take for a class (Hsu et al. 2019)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rules_src.config.base import PositiveInt, Section, Seed

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Partitions(Section):
    """What all partitions share."""

    needs_features: ClassVar[bool] = True
    members: PositiveInt = 6
    """Fewest members of a cluster: as many as shots and queries of the learners that are to use it. Smaller ones are
    dropped."""
    seed: Seed = 0


class Clusters(Partitions):
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


class Hyperplanes(Partitions):
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


class Random(Partitions):
    """Every example in a cluster drawn at random: what tasks without any similarity are worth."""

    needs_features: ClassVar[bool] = False
    kind: Literal["random"]
    clusters: Annotated[int, Field(ge=2)] = 500
    partitions: PositiveInt = 100


class Labels(Partitions):
    """The true labels: the oracle."""

    needs_features: ClassVar[bool] = False
    kind: Literal["labels"]
    partitions: PositiveInt = 500
    """Of a dataset with attributes, drawn at random where there are more; by labels there is one."""


Partition = Annotated[Clusters | Hyperplanes | Random | Labels, Field(discriminator="kind")]
