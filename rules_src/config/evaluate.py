"""Config of the few-shot evaluation and of the baselines that are not update rules."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rules_src.config.base import Increasing, PositiveFloat, PositiveInt, Section, Seed


class FewShot(Section):
    """K labelled examples a class fit a readout on frozen features; the whole test split scores it."""

    shots: Annotated[list[PositiveInt], Increasing] = [1, 2, 5, 10]
    """Labelled examples a class."""
    draws: Annotated[int, Field(ge=2)] = 20
    """Independent draws of the labelled examples, the same for every method."""
    draws_over_inner_steps: Annotated[int, Field(ge=2)] = 5
    """Draws behind the curves over inner steps."""
    logistic_c: PositiveFloat = 1.0
    """Inverse regularisation of the logistic regression, on features of unit mean variance."""
    ridge: PositiveFloat = 0.1
    """Penalty of the ridge readout, on features of unit mean variance."""
    seed: Seed = 0
    """Seed of the label draws."""


class Raw(Section):
    """The input itself, at its own width."""

    module: ClassVar[str] = "raw"
    kind: Literal["raw"]


class Pca(Section):
    """Leading principal components, as many as the base model has features."""

    module: ClassVar[str] = "pca"
    kind: Literal["pca"]


class KMeans(Section):
    """Triangle features of k-means centroids (Coates and Ng), as many as the base model has features."""

    module: ClassVar[str] = "k_means"
    kind: Literal["k-means"]


Baseline = Annotated[Raw | Pca | KMeans, Field(discriminator="kind")]
