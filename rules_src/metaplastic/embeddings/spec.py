"""Config of embeddings: what makes features of a dataset without labels and is no update rule."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from metaplastic.config.base import Fraction, Int, Kind, PositiveFloat, PositiveInt
from metaplastic.meta_train.tasks.spec import Jitter
from metaplastic.training.spec import Descended, Steps
from metaplastic.update_rules.spec import Activation


class Embedding(Kind):
    """A method that makes features of a dataset without labels and is not an update rule."""

    takes_images: ClassVar[bool] = False
    """Whether it takes images alone."""
    trained: ClassVar[bool] = False
    """Whether gradient descent trains it."""
    kind: str

    @property
    def fewest_examples(self) -> int:
        """The training examples that it needs at least."""
        return 0

    @property
    def makes_a_curve(self) -> bool:
        """Whether its features are recorded so often during training that a curve of them can have a peak."""
        return False


class Raw(Embedding):
    """The input itself, at its own width."""

    kind: Literal["raw"]


class Zca(Embedding):
    """The input with each example's contrast normalised and correlations removed (Coates et al. 2011)."""

    kind: Literal["zca"]
    epsilon: PositiveFloat = 0.00001
    """Added to variances."""


class Fitted(Embedding):
    """What embeddings of a chosen width share."""

    features: PositiveInt = 32
    """Width of the features; fewer where the data has no more to give."""


class Pca(Fitted):
    """Leading principal components."""

    kind: Literal["pca"]


class KMeans(Fitted):
    """Triangle features of k-means centroids (Coates and Ng)."""

    kind: Literal["k-means"]


class Neighbours(Fitted):
    """What embeddings share that keep the examples they were fitted on, and look for neighbours among them."""

    neighbours: Annotated[Int, Field(ge=2)] = 15
    """Nearest examples that count as near."""
    examples: Annotated[Int, Field(ge=3)] = 10000
    """Training examples that are fitted on, drawn at random where there are more."""

    @model_validator(mode="after")
    def _enough(self) -> "Neighbours":
        if self.examples <= self.neighbours:
            raise ValueError(f"examples: {self.examples} have no {self.neighbours} neighbours; give more")
        return self


class Isomap(Neighbours):
    """Coordinates that keep the distances along the graph of nearest neighbours (Tenenbaum et al. 2000)."""

    kind: Literal["isomap"]


class Umap(Neighbours):
    """Coordinates that keep who is near whom (McInnes et al. 2018)."""

    kind: Literal["umap"]
    min_distance: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Smallest distance between embedded examples, beside a spread of 1."""


class Neural(Descended, Fitted):
    """What networks share that gradient descent trains on unlabelled examples."""

    trained: ClassVar[bool] = True

    steps: Steps = [2000]
    """Gradient steps after which features are recorded; the last is the one that results quote."""
    batch: PositiveInt = 128
    """Examples a gradient step."""
    momentum: Fraction = 0.9
    """Of Adam."""

    @property
    def makes_a_curve(self) -> bool:
        """Three numbers of steps make one."""
        return len(self.steps) >= 3


class FullyConnected(Neural):
    """Networks of any inputs."""

    hidden: list[PositiveInt] = [256, 256]
    """Widths of the encoder's hidden layers, from the input up; the decoder has them the other way round."""
    activation: Activation = "relu"


class Vae(FullyConnected):
    """Variational autoencoder (Kingma and Welling 2014): the mean of its latent code."""

    kind: Literal["vae"]
    hidden: list[PositiveInt] = [256]
    """Widths of the encoder's hidden layers, from the input up; the decoder has them the other way round."""
    beta: PositiveFloat = 1.0
    """Weight of the divergence from the prior."""


class DenoisingAutoencoder(FullyConnected):
    """Denoising autoencoder (Vincent et al. 2008): the code from which it restores what was corrupted."""

    kind: Literal["denoising-autoencoder"]
    noise: PositiveFloat = 2.0
    """Standard deviation of the noise that is added to inputs of unit variance."""
    dropped: Fraction = 0.0
    """Share of the inputs that are put to their mean."""


class Convolutional(Neural):
    """Networks of images."""

    takes_images: ClassVar[bool] = True

    features: PositiveInt = 256
    """Width of the features."""
    filters: Annotated[list[PositiveInt], Field(min_length=1)] = [32, 64, 128]
    """Of the encoder's convolutions, each of which halves the side; decoders have them the other way round."""
    batch: PositiveInt = 64
    """Examples a gradient step."""


class Acai(Convolutional):
    """Adversarially constrained autoencoder interpolation (Berthelot et al. 2019): the code."""

    kind: Literal["acai"]
    adversarial: PositiveFloat = 0.5
    """Weight of the critic's verdict on interpolated codes, beside the mean squared error of reconstructions."""
    blended: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of the image in the reconstruction that the critic has to take for no interpolation."""


class Bigan(Convolutional):
    """Bidirectional GAN (Donahue et al. 2017): what the encoder makes of an image."""

    kind: Literal["bigan"]
    features: PositiveInt = 200
    """Width of the latent code, uniform in [-1, 1]."""
    learning_rate: PositiveFloat = 0.0002
    """Of Adam."""
    momentum: Fraction = 0.5
    """Of Adam."""


class Infogan(Convolutional):
    """InfoGAN (Chen et al. 2016): the code that is recognised in an image."""

    kind: Literal["infogan"]
    features: PositiveInt = 50
    """Width of the code, uniform in [-1, 1]."""
    noise: PositiveInt = 62
    """Width of the noise beside it."""
    information: PositiveFloat = 1.0
    """Weight of reading the code off generated images."""
    learning_rate: PositiveFloat = 0.0002
    """Of Adam."""
    momentum: Fraction = 0.5
    """Of Adam."""


class Contrastive(Convolutional):
    """Contrastive learning of jittered views (Chen et al. 2020): the code below the projection."""

    kind: Literal["contrastive"]
    batch: PositiveInt = 256
    """Images a gradient step, each seen twice."""
    temperature: PositiveFloat = 0.2
    """By which similarities of views are divided."""
    projected: PositiveInt = 128
    """Width in which views are compared."""
    jitter: Jitter = Jitter(rotation=20.0, scale=0.25, shift=0.15, shear=0.3, elastic=0.06)
    """What tells two views of an image apart, drawn for each."""


class DeepCluster(Convolutional):
    """DeepCluster (Caron et al. 2018): the code that k-means clusters, and from which its clusters are then told."""

    kind: Literal["deep-cluster"]
    features: PositiveInt = 256
    """Leading principal components of the code that are kept, whitened; fewer where it has no more."""
    width: PositiveInt = 512
    """Of the code."""
    batch: PositiveInt = 128
    """Examples a gradient step, drawn so that every cluster is as frequent."""
    clusters: Annotated[Int, Field(ge=2)] = 500
    clustered_every: PositiveInt = 500
    """Gradient steps between two k-means."""
    jitter: Jitter = Jitter(rotation=10.0, scale=0.1, shift=0.1, shear=0.15, elastic=0.03)
    """Of every image that a cluster is told from."""

    @property
    def fewest_examples(self) -> int:
        """One per cluster."""
        return self.clusters

    @model_validator(mode="after")
    def _clustered_where_saved(self) -> "DeepCluster":
        if self.clustered_every % self.every:
            raise ValueError(f"clustered_every: {self.clustered_every} is no multiple of every, {self.every}")
        return self
