"""Config of few-shot learners: what maps an episode's support and query to predictions."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from metaplastic.config.base import FittedKind, Fraction, PositiveFloat, PositiveInt, Seed
from metaplastic.few_shot.spec import Shape
from metaplastic.meta_train.tasks.spec import Jitter
from metaplastic.training.spec import Descended, Steps


class Learner(FittedKind):
    """Anything that maps an episode's support and query to predictions."""

    takes_images: ClassVar[bool] = False
    meta_learned: ClassVar[bool] = False
    """Whether many tasks train it before any evaluation."""
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
    steps: Steps = [30000]
    """Gradient steps after which it is recorded; the last is what results quote."""
    tasks: Shape
    task_batch: PositiveInt
    filters: PositiveInt
    jitter: Jitter | None = None
    """Jitter of every image of a training task, drawn for each image; by default none, as published."""
    seed: Seed = 0


class ProtoNets(MetaLearned):
    """Prototypical networks (Snell et al. 2017)."""

    smallest: ClassVar[int] = 16
    kind: Literal["protonets"]
    tasks: Shape = Shape(way=20, shots=1, queries=15)
    """Shape of the training tasks; an evaluation may have fewer ways and other shots."""
    task_batch: PositiveInt = 1
    """Tasks per gradient step."""
    filters: PositiveInt = 64
    """Filters of every block of the network."""


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
    head: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Standard deviation of the last layer's initial weights, 1 as published. Trainings of a few thousand steps are far
    better from 0: all classes begin alike and no random weights have to be unlearned."""
    first_order: bool = False
    """Whether gradients ignore how the inner gradients change."""

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


class ClusterMatching(Learner):
    """Clusters of the embedding's training examples, each labelled by the support examples in it."""

    kind: Literal["cluster-matching"]
    clusters: Annotated[int, Field(ge=2)] = 500
    restarts: PositiveInt = 10
    """Starts of k-means, of which the best is kept."""
    seed: Seed = 0


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
