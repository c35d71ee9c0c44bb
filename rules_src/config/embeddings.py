"""Config of embeddings: what makes features of a dataset without labels and is no update rule."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from rules_src.config.base import Count, Fraction, Increasing, Int, PositiveFloat, PositiveInt, Section
from rules_src.config.rules import Activation


class Raw(Section):
    """The input itself, at its own width."""

    module: ClassVar[str] = "raw"
    kind: Literal["raw"]


class Fitted(Section):
    """What embeddings of a chosen width share."""

    features: PositiveInt = 32
    """Width of the features; fewer where the data has no more to give."""


class Pca(Fitted):
    """Leading principal components."""

    module: ClassVar[str] = "pca"
    kind: Literal["pca"]


class KMeans(Fitted):
    """Triangle features of k-means centroids (Coates and Ng)."""

    module: ClassVar[str] = "k_means"
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

    module: ClassVar[str] = "isomap"
    kind: Literal["isomap"]


class Umap(Neighbours):
    """Coordinates that keep who is near whom (McInnes et al. 2018)."""

    module: ClassVar[str] = "umap"
    kind: Literal["umap"]
    min_distance: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Smallest distance between embedded examples, beside a spread of 1."""


class Neural(Fitted):
    """What networks share that gradient descent trains on unlabelled examples."""

    hidden: list[PositiveInt] = [256, 256]
    """Widths of the encoder's hidden layers, from the input up; the decoder has them the other way round."""
    activation: Activation = "relu"
    steps: Annotated[list[Count], Increasing] = [2000]
    """Gradient steps after which features are recorded; the last is the one that results quote."""
    every: PositiveInt = 100
    """Gradient steps between saved states, from which a killed training goes on."""
    batch: PositiveInt = 128
    """Examples a gradient step."""
    learning_rate: PositiveFloat = 0.001
    """Of Adam."""

    @model_validator(mode="after")
    def _recorded_where_saved(self) -> "Neural":
        for step in self.steps:
            if step % self.every:
                raise ValueError(f"steps: {step} is no multiple of every, {self.every}")
        return self


class Vae(Neural):
    """Variational autoencoder (Kingma and Welling 2014): the mean of its latent code."""

    module: ClassVar[str] = "vae"
    kind: Literal["vae"]
    hidden: list[PositiveInt] = [256]
    """Widths of the encoder's hidden layers, from the input up; the decoder has them the other way round."""
    beta: PositiveFloat = 1.0
    """Weight of the divergence from the prior."""


class DenoisingAutoencoder(Neural):
    """Denoising autoencoder (Vincent et al. 2008): the code from which it restores what was corrupted."""

    module: ClassVar[str] = "denoising_autoencoder"
    kind: Literal["denoising-autoencoder"]
    noise: PositiveFloat = 2.0
    """Standard deviation of the noise that is added to inputs of unit variance."""
    dropped: Fraction = 0.0
    """Share of the inputs that are put to their mean."""


Embedding = Annotated[
    Raw | Pca | KMeans | Isomap | Umap | Vae | DenoisingAutoencoder,
    Field(discriminator="kind"),
]
