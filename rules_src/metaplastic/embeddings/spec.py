"""Config of embeddings: methods, other than update rules, that make features of a dataset without its labels."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from metaplastic.config.base import Downsample, FittedKind, Fraction, Int, PositiveFloat, PositiveInt, TwoOrMore
from metaplastic.meta_train.tasks.spec import Jitter
from metaplastic.training.spec import Descended, Steps
from metaplastic.update_rules.spec import Activation

CURVE = 3
"""Fewest recorded steps that make a curve, which can have a peak."""


class Embedding(FittedKind):
    """A method, other than an update rule, that makes features of a dataset without its labels."""

    takes_images: ClassVar[bool] = False
    """Whether the dataset has to hold images."""
    trained: ClassVar[bool] = False
    """Whether gradient descent trains it."""
    embeds_alone: ClassVar[bool] = False
    """Whether it embeds each image on its own, later ones too."""
    kind: str

    @property
    def cores(self) -> int:
        """Return the cores that fitting it makes good use of."""
        return 1

    @property
    def made(self) -> str:
        """Return what results call its kind."""
        return self.kind

    @property
    def makes_a_curve(self) -> bool:
        """Whether its features are recorded so often during training that they make a curve."""
        return len(getattr(self, "steps", ())) >= CURVE


class Raw(Embedding):
    """The input itself, at its own width."""

    embeds_alone: ClassVar[bool] = True
    kind: Literal["raw"]


class Blurred(Embedding):
    """Images blurred by a Gaussian, which forgives small shifts: an embedding without learning, to be beaten."""

    takes_images: ClassVar[bool] = True
    embeds_alone: ClassVar[bool] = True
    kind: Literal["blurred"]
    deviation: PositiveFloat = 2.0
    """Standard deviation of the Gaussian in pixels."""


class Zca(Embedding):
    """The input with each example's contrast normalised and correlations removed (Coates et al. 2011)."""

    kind: Literal["zca"]
    epsilon: PositiveFloat = 0.00001
    """Added to variances."""


class Fitted(Embedding):
    """An embedding of a chosen width."""

    features: PositiveInt = 32
    """Width of the features; smaller if the data allow no more."""


class Pca(Fitted):
    """Leading principal components."""

    kind: Literal["pca"]


class KMeans(Fitted):
    """Triangle features of k-means centroids (Coates and Ng)."""

    kind: Literal["k-means"]


class Neighbours(Fitted):
    """An embedding that keeps the examples it was fitted on and finds neighbours among them."""

    neighbours: TwoOrMore = 15
    """Number of nearest examples that count as neighbours."""
    examples: Annotated[Int, Field(ge=3)] = 10000
    """Most training examples to fit on; they are drawn at random if there are more."""

    @model_validator(mode="after")
    def _enough(self) -> "Neighbours":
        if self.examples <= self.neighbours:
            raise ValueError(f"examples: {self.examples} have no {self.neighbours} neighbours; give more")
        return self


class Isomap(Neighbours):
    """Coordinates that keep the distances along the graph of nearest neighbours (Tenenbaum et al. 2000)."""

    kind: Literal["isomap"]


class Umap(Neighbours):
    """Coordinates that keep neighbours together (McInnes et al. 2018)."""

    kind: Literal["umap"]
    min_distance: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Smallest distance between embedded examples, relative to a spread of 1."""


class Neural(Descended, Fitted):
    """A network that gradient descent trains on unlabelled examples."""

    trained: ClassVar[bool] = True
    steps: Steps = [2000]
    """Gradient steps after which features are recorded; results quote the last. Append one to train on."""
    batch: PositiveInt = 128
    """Examples per gradient step."""
    momentum: Fraction = 0.9
    """Momentum of Adam."""

    @property
    def made(self) -> str:
        """Return the kind; before any step it is an untrained encoder, whatever would train it."""
        return self.kind if self.steps[-1] else "untrained-encoder"


class FullyConnected(Neural):
    """A network of any inputs."""

    hidden: list[PositiveInt] = [256, 256]
    """Widths of the encoder's hidden layers, from the input up; the decoder has them in reverse order."""
    activation: Activation = "relu"
    """Activation function of the hidden layers."""

    @property
    def cores(self) -> int:
        """Return one: products of such layers are too small to share."""
        return 1


class Vae(FullyConnected):
    """Variational autoencoder (Kingma and Welling 2014): the mean of its latent code."""

    kind: Literal["vae"]
    hidden: list[PositiveInt] = [256]
    """Widths of the encoder's hidden layers, from the input up; the decoder has them in reverse order."""
    beta: PositiveFloat = 1.0
    """Weight of the divergence from the prior."""


class DenoisingAutoencoder(FullyConnected):
    """Denoising autoencoder (Vincent et al. 2008): the code from which it restores corrupted inputs."""

    kind: Literal["denoising-autoencoder"]
    noise: PositiveFloat = 2.0
    """Standard deviation of the noise that is added to inputs of unit variance."""
    dropped: Fraction = 0.0
    """Share of the inputs that are set to their mean."""


class Convolutional(Neural):
    """A network of images."""

    takes_images: ClassVar[bool] = True
    embeds_alone: ClassVar[bool] = True
    features: PositiveInt = 256
    """Width of the features."""
    filters: Annotated[list[PositiveInt], Field(min_length=1)] = [32, 64, 128]
    """Filters of the encoder's scales, each of which halves the side; decoders have them in reverse order."""
    downsample: Downsample = "stride"
    """How the encoder halves the side: one convolution with a stride of 2, or two and means of 2x2 positions."""
    batch: PositiveInt = 64
    """Examples per gradient step."""

    @property
    def pooled(self) -> bool:
        """Whether means halve the side."""
        return self.downsample == "pool"


class Acai(Convolutional):
    """Adversarially constrained autoencoder interpolation (Berthelot et al. 2019): the code."""

    kind: Literal["acai"]
    filters: Annotated[list[PositiveInt], Field(min_length=1)] = [16, 32, 64]
    """Filters of the encoder's scales, each of which halves the side; decoders have them in reverse order."""
    downsample: Downsample = "pool"
    """How the encoder halves the side: one convolution with a stride of 2, or two and means of 2x2 positions."""
    adversarial: PositiveFloat = 0.16
    """Weight of the critic's verdict on interpolated codes, relative to the mean squared error of pixels in [0, 1]. The
    original's 0.5 is relative to padded images in [-1, 1], whose errors are three times larger."""
    blended: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of the image in a reconstruction for which the critic should report no interpolation."""


class Adversarial(Convolutional):
    """A generative adversarial network."""

    learning_rate: PositiveFloat = 0.0002
    """Learning rate of Adam."""
    momentum: Fraction = 0.5
    """Momentum of Adam."""


class Bigan(Adversarial):
    """Bidirectional GAN (Donahue et al. 2017): the encoder's code of an image."""

    kind: Literal["bigan"]
    features: PositiveInt = 200
    """Width of the latent code, uniform in [-1, 1]."""


class Infogan(Adversarial):
    """InfoGAN (Chen et al. 2016): the code that is recognised in an image."""

    kind: Literal["infogan"]
    features: Annotated[Int, Field(ge=3)] = 50
    """Width of the code: a category and numbers uniform in [-1, 1]."""
    categories: TwoOrMore = 10
    """Values of the category, which count as many features."""
    noise: PositiveInt = 62
    """Width of the noise in addition to the code."""
    information: PositiveFloat = 1.0
    """Weight of the error of codes recognised in generated images."""

    @model_validator(mode="after")
    def _continuous_too(self) -> "Infogan":
        if self.categories >= self.features:
            raise ValueError(
                f"categories: {self.categories} leave no numbers among {self.features} features; give fewer"
            )
        return self


class Contrastive(Convolutional):
    """Contrastive learning of jittered views (Chen et al. 2020): the code below the projection."""

    kind: Literal["contrastive"]
    batch: PositiveInt = 256
    """Images per gradient step, each seen twice."""
    temperature: PositiveFloat = 0.2
    """Divisor of the similarities of views."""
    projected: PositiveInt = 128
    """Width of the projection in which views are compared."""
    jitter: Jitter = Jitter(rotation=20.0, scale=0.25, shift=0.15, shear=0.3, elastic=0.06)
    """Changes that are drawn for every view of an image."""


class DeepCluster(Convolutional):
    """DeepCluster (Caron et al. 2018): the code that k-means clusters and that learns to classify these clusters."""

    embeds_alone: ClassVar[bool] = False
    kind: Literal["deep-cluster"]
    features: PositiveInt = 256
    """Leading principal components of the code that are kept, whitened; fewer if it has fewer."""
    width: PositiveInt = 512
    """Width of the code."""
    batch: PositiveInt = 128
    """Examples per gradient step, drawn so that all clusters are equally frequent."""
    clusters: TwoOrMore = 500
    """Clusters of the code, which are the classes that it learns to tell apart."""
    clustered_every: PositiveInt = 500
    """Gradient steps between two runs of k-means."""
    jitter: Jitter = Jitter(rotation=10.0, scale=0.1, shift=0.1, shear=0.15, elastic=0.03)
    """Changes that are drawn for every image that is classified."""

    @model_validator(mode="after")
    def _clustered_where_saved(self) -> "DeepCluster":
        if self.clustered_every % self.every:
            raise ValueError(f"clustered_every: {self.clustered_every} is not a multiple of every, {self.every}")
        return self
