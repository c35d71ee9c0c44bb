"""Config of few-shot learning: readouts on few labels, episodes, partitions."""

from math import ceil
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from metaplastic.config.base import FittedKind, Increasing, PositiveFloat, PositiveInt, Section, Seed

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Way = Annotated[int, Field(ge=2)]


class Shape(Section):
    """An N-way K-shot episode."""

    way: Way = 5
    """Classes per episode."""
    shots: PositiveInt = 1
    """Labelled examples per class: the support."""
    queries: PositiveInt = 5
    """Examples per class that the learner has to label."""


class Episodes(Section):
    """Evaluation episodes, drawn once and shared by all learners."""

    split: Literal["test", "validation"] = "test"
    """Split of the dataset that episodes are drawn from."""
    ways: Annotated[list[Way], Increasing] = [5, 20]
    """Classes per episode."""
    shots: Annotated[list[PositiveInt], Increasing] = [1, 5]
    """Labelled examples per class."""
    queries: PositiveInt = 5
    """Examples per class that the learner has to label."""
    episodes: Annotated[int, Field(ge=2)] = 1000
    """Episodes for each way and number of shots."""
    seed: Seed = 0
    """Seed of the draws."""


class FewShot(Section):
    """K labelled examples per class fit a readout on frozen features; the whole test split scores it."""

    shots: Annotated[list[PositiveInt], Increasing] = [1, 2, 5, 10]
    """Labelled examples per class."""
    draws: Annotated[int, Field(ge=2, le=10000)] = 20
    """Independent draws of the labelled examples, the same for every method."""
    draws_over_inner_steps: Annotated[int, Field(ge=2, le=10000)] | None = None
    """How many of these draws, from the first on, the curves over inner steps use; by default all."""
    logistic_c: PositiveFloat = 1.0
    """Inverse regularisation of the logistic regression, on features of unit mean variance."""
    ridge: PositiveFloat = 0.1
    """Penalty of the ridge readout, on features of unit mean variance."""
    seed: Seed = 0
    """Seed of the label draws."""


class Partition(FittedKind):
    """The common part of all kinds of partitions."""

    needs_features: ClassVar[bool] = True
    found_clusters: ClassVar[bool] = False
    """Whether the classes are clusters found in the features."""
    true_labels: ClassVar[bool] = False
    """Whether the classes are those of the dataset."""
    kind: str
    partitions: PositiveInt
    """Number of partitions; from attributes, at most this many."""
    members: PositiveInt = 6
    """Fewest members of a cluster; smaller clusters are dropped. Give the shots plus the queries of the learners."""
    seed: Seed = 0

    @property
    def task_classes(self) -> tuple[str, int] | None:
        """The config key that limits the classes of a task, and their number; None if the dataset limits them."""
        return next(((key, getattr(self, key)) for key in ("clusters", "way") if hasattr(self, key)), None)


class Clusters(Partition):
    """k-means clusters of an embedding; all partitions but the first scale each feature by a random factor."""

    found_clusters: ClassVar[bool] = True
    kind: Literal["k-means"]
    clusters: Annotated[int, Field(ge=2)] = 500
    """Clusters per partition, before small ones are dropped."""
    partitions: PositiveInt = 100
    restarts: PositiveInt = 1
    """Starts of each k-means, of which the best is kept."""
    accepted: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Smallest share of clusters with enough members; k-means is repeated until it is reached."""
    attempts: PositiveInt = 10
    """Repetitions before that becomes an error."""
    library: Literal["scikit-learn", "faiss"] = "scikit-learn"
    """Library that runs k-means. faiss is faster, finds other clusters and has to be installed."""

    @property
    def fewest_examples(self) -> int:
        """One per cluster, and enough members for the accepted share of clusters."""
        return max(self.clusters, ceil(self.accepted * self.clusters * self.members))


class Hyperplanes(Partition):
    """Zones between random hyperplanes through an embedding."""

    kind: Literal["hyperplanes"]
    way: Annotated[int, Field(ge=2)] = 20
    """Classes per task; there are as many planes as this number of zones takes."""
    partitions: PositiveInt = 2400
    candidates: PositiveInt = 1000
    """Planes to choose from."""
    offset: NonNegative = 0.8
    """Each plane goes through a random point whose features lie between minus this and plus this."""
    margin: NonNegative = 0.0
    """Examples nearer to a plane are on neither side of it."""
    side: PositiveInt = 10
    """Examples on either side of a plane, in multiples of `members`."""
    attempts: PositiveInt = 100
    """Draws of planes with too few zones before that becomes an error."""


class Random(Partition):
    """Random clusters: shows what tasks without any similarity are worth."""

    needs_features: ClassVar[bool] = False
    kind: Literal["random"]
    clusters: Annotated[int, Field(ge=2)] = 500
    partitions: PositiveInt = 100


class Labels(Partition):
    """The true labels: the oracle."""

    needs_features: ClassVar[bool] = False
    true_labels: ClassVar[bool] = True
    kind: Literal["labels"]
    partitions: PositiveInt = 500
    """Partitions of a dataset with attributes, drawn at random if there are more; labels make one."""
