"""Config of few-shot learning: readouts on few labels, episodes, partitions, learners."""

from math import ceil
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from metaplastic.config.base import (
    Downsample,
    FittedKind,
    Fraction,
    Increasing,
    NonNegative,
    PositiveFloat,
    PositiveInt,
    Section,
    Seed,
    TwoOrMore,
)
from metaplastic.meta_train.tasks.spec import Jitter
from metaplastic.training.spec import Descended, Steps

SMALLEST_POOLED = 16
"""Smallest side of an image of which four blocks that halve it leave something."""
METHODS = ("protonets", "maml", "nearest-neighbours")
"""Kinds of learners that label single images."""


class Shape(Section):
    """An N-way K-shot episode."""

    way: TwoOrMore = 5
    """Classes per episode."""
    shots: PositiveInt = 1
    """Labelled examples per class: the support."""
    queries: PositiveInt = 5
    """Examples per class that the learner has to label."""

    @property
    def members(self) -> int:
        """Examples of a class."""
        return self.shots + self.queries


class Episodes(Section):
    """Evaluation episodes, drawn once and shared by all learners."""

    split: Literal["test", "validation"] = "test"
    """Split of the dataset that episodes are drawn from."""
    ways: Annotated[list[TwoOrMore], Increasing] = [5, 20]
    """Classes per episode."""
    shots: Annotated[list[PositiveInt], Increasing] = [1, 5]
    """Labelled examples per class."""
    queries: PositiveInt = 5
    """Examples per class that the learner has to label."""
    episodes: TwoOrMore = 1000
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

    @model_validator(mode="after")
    def _some_of_the_draws(self) -> "FewShot":
        if (some := self.draws_over_inner_steps) is not None and some > self.draws:
            raise ValueError(f"draws_over_inner_steps: {some} are more than the {self.draws} of draws; give fewer")
        return self


class Partition(FittedKind):
    """The common part of all kinds of partitions."""

    folder: ClassVar[str] = "partitioning"
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
    """Seed of the draws."""

    @property
    def task_classes(self) -> tuple[str, int] | None:
        """The config key that limits the classes of a task, and their number; None if the dataset limits them."""
        return next(((key, getattr(self, key)) for key in ("clusters", "way") if hasattr(self, key)), None)


class Clusters(Partition):
    """k-means clusters of an embedding; all partitions but the first scale each feature by a random factor."""

    found_clusters: ClassVar[bool] = True
    kind: Literal["k-means"]
    clusters: TwoOrMore = 500
    """Clusters per partition, before small ones are dropped."""
    partitions: PositiveInt = 100
    """Number of partitions."""
    restarts: PositiveInt = 1
    """Starts of each k-means, of which the best is kept."""
    accepted: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Smallest share of clusters with enough members; k-means is repeated until it is reached."""
    attempts: PositiveInt = 10
    """Repetitions before that becomes an error."""

    @property
    def fewest_examples(self) -> int:
        """One per cluster, and enough members for the accepted share of clusters."""
        return max(self.clusters, ceil(self.accepted * self.clusters * self.members))


class Hyperplanes(Partition):
    """Zones between random hyperplanes through an embedding."""

    kind: Literal["hyperplanes"]
    way: TwoOrMore = 20
    """Classes per task; there are as many planes as this number of zones takes."""
    partitions: PositiveInt = 2400
    """Number of partitions."""
    candidates: PositiveInt = 1000
    """Planes to choose from, each with enough examples on either side."""
    offset: NonNegative = 0.8
    """Each plane goes through a random point whose features lie between minus this and plus this."""
    margin: NonNegative = 0.0
    """Examples nearer to a plane are on neither side of it. The original's 1.2 is in the units of its own codes."""
    side: PositiveInt = 10
    """Examples on either side of a plane, in multiples of `members`."""
    attempts: PositiveInt = 100
    """Draws of as many planes as candidates, and draws of zones from them, before too few become an error."""


class Neighbourhoods(Partition):
    """Classes of an example and its nearest neighbours in an embedding; no two classes of a partition share one."""

    kind: Literal["neighbourhoods"]
    partitions: PositiveInt = 100
    """Number of partitions: as many orders in which examples take their neighbours."""
    members: PositiveInt = 6
    """Examples of a class, the central one included. Give the shots plus the queries of the learners: smaller classes
    are purer."""


class Random(Partition):
    """Random clusters: shows what tasks without any similarity are worth."""

    needs_features: ClassVar[bool] = False
    kind: Literal["random"]
    clusters: TwoOrMore = 500
    """Clusters per partition, before small ones are dropped."""
    partitions: PositiveInt = 100
    """Number of partitions."""


class Labels(Partition):
    """The true labels: the oracle."""

    needs_features: ClassVar[bool] = False
    true_labels: ClassVar[bool] = True
    kind: Literal["labels"]
    partitions: PositiveInt = 500
    """Partitions of a dataset with attributes, drawn at random if there are more; labels make one."""


class Learner(FittedKind):
    """Anything that maps an episode's support and query to predictions."""

    folder: ClassVar[str] = "learners"
    takes_images: ClassVar[bool] = False
    meta_learned: ClassVar[bool] = False
    """Whether many tasks train it before any evaluation."""
    trainings: ClassVar[int] = 0
    """Number of trainings, one after another, of which the last is the result."""
    smallest: ClassVar[int] = 1
    """Smallest side of an image that it can take."""
    kind: str

    @property
    def most_ways(self) -> int | None:
        """Most ways of an evaluation, if there is a limit."""
        return None


class MetaLearned(Descended, Learner):
    """The common part of learners that are trained on many tasks."""

    takes_images: ClassVar[bool] = True
    meta_learned: ClassVar[bool] = True
    trainings: ClassVar[int] = 1
    steps: Steps = [30000]
    """Gradient steps after which it is recorded; results quote the last. Append one to train on."""
    halved: Steps | None = None
    """Gradient steps after which the learning rate is halved, if any; by default it is constant, as published."""
    tasks: Shape
    task_batch: PositiveInt
    filters: PositiveInt
    jitter: Jitter | None = None
    """Jitter of every image of a training task, drawn for each image; by default none, as published."""
    turned: bool = False
    """Whether to turn the images of a class of a training task together, by a random number of quarter turns, which
    makes four classes of one. Images have to be square. By default they are not turned, as published."""
    seed: Seed = 0
    """Seed of the initial weights and of the tasks."""


class ProtoNets(MetaLearned):
    """Prototypical networks (Snell et al. 2017)."""

    smallest: ClassVar[int] = SMALLEST_POOLED
    kind: Literal["protonets"]
    tasks: Shape = Shape(way=20, shots=1, queries=15)
    """Shape of the training tasks; an evaluation may have fewer ways and other shots."""
    task_batch: PositiveInt = 1
    """Tasks per gradient step."""
    filters: PositiveInt = 64
    """Filters of every block of the network."""
    rounds: PositiveInt = 1
    """Trainings, one after another. Each goes on from the one before, on partitions of the features that it has
    learned, made as those of the embedding were. `steps` and `halved` count the steps of each."""

    @property
    def trainings(self) -> int:  # type: ignore[override]
        """Return the rounds."""
        return self.rounds


class Maml(MetaLearned):
    """Model-agnostic meta-learning (Finn et al. 2017)."""

    kind: Literal["maml"]
    tasks: Shape = Shape(way=20, shots=1, queries=5)
    """Shape of the training tasks; an evaluation may have fewer ways, not more, and other shots."""
    task_batch: PositiveInt = 8
    """Tasks per gradient step."""
    filters: PositiveInt = 32
    """Filters of every block of the network."""
    inner_rate: PositiveFloat = 0.05
    """Rate of gradient descent on the support's cross-entropy, summed over classes and averaged over shots."""
    inner_steps: PositiveInt = 5
    """Inner steps while training."""
    test_inner_steps: PositiveInt = 50
    """Inner steps at evaluation."""
    downsample: Downsample = "stride"
    """How blocks halve the side: strides as on Omniglot, or maxima of 2x2 as on miniImageNet, with all positions as
    features, 800 of them on 84 x 84 pixels."""
    head: NonNegative = 1.0
    """Standard deviation of the last layer's initial weights, 1 as published. Trainings of a few thousand steps are far
    better from 0: all classes begin alike and no random weights have to be unlearned."""
    first_order: bool = False
    """Whether gradients ignore how the inner gradients change."""

    @property
    def smallest(self) -> int:  # type: ignore[override]
        """Return the smallest side that pooling leaves something of."""
        return SMALLEST_POOLED if self.downsample == "pool" else 1

    @property
    def most_ways(self) -> int:
        """The network has one output for each way of its training tasks."""
        return self.tasks.way


class NearestNeighbours(Learner):
    """The majority class among the nearest support examples, in the embedding."""

    kind: Literal["nearest-neighbours"]
    neighbours: PositiveInt = 1
    """Number of neighbours; at most all support examples vote."""


class Linear(Learner):
    """Multinomial logistic regression on the embedding."""

    kind: Literal["linear"]
    c: PositiveFloat = 1.0
    """Inverse regularisation."""


class Mlp(Learner):
    """One hidden layer with dropout on the embedding, trained for each episode."""

    kind: Literal["mlp"]
    hidden: PositiveInt = 128
    """Hidden units."""
    dropped: Fraction = 0.5
    """Share of the hidden units that each step leaves out."""
    steps: PositiveInt = 100
    """Steps of Adam on the whole support, the same number for each episode: early stopping would need query labels."""
    learning_rate: PositiveFloat = 0.001
    """Learning rate of Adam."""
    seed: Seed = 0
    """Seed of the initial weights and of dropout."""


class ClusterMatching(Learner):
    """Clusters of the embedding's training examples, each labelled by the support examples in it."""

    kind: Literal["cluster-matching"]
    clusters: TwoOrMore = 500
    """Clusters of the training examples."""
    restarts: PositiveInt = 10
    """Starts of k-means, of which the best is kept."""
    seed: Seed = 0
    """Seed of k-means."""


class FromScratch(Learner):
    """The network of MAML, trained on each episode's support from random weights."""

    takes_images: ClassVar[bool] = True
    kind: Literal["from-scratch"]
    filters: PositiveInt = 32
    """Filters of every block of the network."""
    rate: PositiveFloat = 0.1
    """Rate of gradient descent on the support's cross-entropy, summed over classes and averaged over shots."""
    steps: PositiveInt = 200
    """Steps of gradient descent."""
    seed: Seed = 0
    """Seed of the initial weights."""
