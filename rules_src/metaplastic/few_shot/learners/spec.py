"""Config of few-shot learners: what maps an episode's support and query to predictions."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from metaplastic.config.base import Fraction, Kind, PositiveFloat, PositiveInt, Seed
from metaplastic.few_shot.spec import Shape
from metaplastic.meta_train.tasks.spec import Jitter
from metaplastic.training.spec import Descended, Steps


class Learner(Kind):
    """What maps an episode's support and query to predictions."""

    takes_images: ClassVar[bool] = False
    kind: str


class MetaLearned(Descended, Learner):
    """What learners share that are trained on many tasks."""

    takes_images: ClassVar[bool] = True
    smallest: ClassVar[int] = 1
    """Least side of images of which the network leaves something."""
    tasks: Shape
    """Shape of the tasks that it is trained on; an evaluation may have fewer ways and other shots."""
    task_batch: PositiveInt
    """Tasks a gradient step."""
    filters: PositiveInt
    """Of every block of the network."""
    jitter: Jitter | None = None
    """Jitter of every image of a training task, each drawn alone; by default none, as published."""
    seed: Seed = 0


class ProtoNets(MetaLearned):
    """Prototypical networks (Snell et al. 2017)."""

    smallest: ClassVar[int] = 16
    kind: Literal["protonets"]
    tasks: Shape = Shape(way=20, shots=1, queries=15)
    """Shape of the tasks that it is trained on; an evaluation may have fewer ways and other shots."""
    task_batch: PositiveInt = 1
    """Tasks a gradient step."""
    steps: Steps = [30000]
    """Gradient steps after which it is recorded; the last is what results quote."""
    filters: PositiveInt = 64
    """Of every block of the network."""


class Maml(MetaLearned):
    """Model-agnostic meta-learning (Finn et al. 2017)."""

    kind: Literal["maml"]
    tasks: Shape = Shape(way=20, shots=1, queries=5)
    """Shape of the tasks that it is trained on; an evaluation may have fewer ways, not more, and other shots."""
    task_batch: PositiveInt = 8
    """Tasks a gradient step."""
    steps: Steps = [30000]
    """Gradient steps after which it is recorded; the last is what results quote."""
    filters: PositiveInt = 32
    """Of every block of the network."""
    inner_rate: PositiveFloat = 0.05
    """Of gradient descent on the support's cross-entropy, summed over classes and averaged over shots."""
    inner_steps: PositiveInt = 5
    """While training."""
    test_inner_steps: PositiveInt = 50
    """At evaluation."""
    head: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Standard deviation of the last layer's initial weights, 1 as published. A training of a few thousand steps is far
    better from 0, where all classes begin alike and no weights drawn at random have to be unlearned."""
    first_order: bool = False
    """Whether gradients leave out how the inner gradients change."""


class NearestNeighbours(Learner):
    """The class of the nearest support examples' majority, in the embedding."""

    kind: Literal["nearest-neighbours"]
    neighbours: PositiveInt = 1
    """At most as many as there are support examples."""


class Linear(Learner):
    """Multinomial logistic regression on the embedding."""

    kind: Literal["linear"]
    c: PositiveFloat = 1.0
    """Inverse regularisation."""


class Mlp(Learner):
    """One hidden layer with dropout on the embedding, trained for each episode."""

    kind: Literal["mlp"]
    hidden: PositiveInt = 128
    """Units."""
    dropped: Fraction = 0.5
    """Share of the hidden units that each step leaves out."""
    steps: PositiveInt = 100
    """Of Adam on the whole support. As many for each episode: stopping early takes the queries' labels."""
    learning_rate: PositiveFloat = 0.001
    """Of Adam."""
    seed: Seed = 0


class ClusterMatching(Learner):
    """Clusters of the embedding's training examples, each labelled by the support examples in it."""

    kind: Literal["cluster-matching"]
    clusters: Annotated[int, Field(ge=2)] = 500
    restarts: PositiveInt = 10
    """Starts of k-means, the best of which counts."""
    seed: Seed = 0


class FromScratch(Learner):
    """The network of MAML, trained on each episode's support from random weights."""

    takes_images: ClassVar[bool] = True
    kind: Literal["from-scratch"]
    filters: PositiveInt = 32
    """Of every block of the network."""
    rate: PositiveFloat = 0.1
    """Of gradient descent on the support's cross-entropy, summed over classes and averaged over shots."""
    steps: PositiveInt = 200
    """Of gradient descent."""
    seed: Seed = 0
