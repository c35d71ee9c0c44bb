"""Config of base models and update rules."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from rules_src.config.base import Count, Name, PositiveFloat, PositiveInt, Section

Activation = Literal["relu", "leaky_relu", "elu", "swish", "tanh", "sigmoid", "softplus", "sine", "step"]


Width = Annotated[int, Field(gt=0, le=4096)]
"""Of a learned rule's parts: a matrix between two wider ones would fill the largest theta file."""

LARGEST_WEIGHTS = 2**36
"""Bytes that a base model's weights between its own layers may take; several base models are trained at once."""


Precision = Literal["float32", "tensorfloat32", "bfloat16"]


class BaseModel(Section):
    """The network that a rule trains."""

    hidden: list[PositiveInt]
    """Widths of the hidden layers, from the input up."""
    features: PositiveInt = 32
    """Width of the last layer, whose activations are the features."""
    activation: Activation = "relu"
    """Applied after the batch norm of every layer, the last included."""

    @model_validator(mode="after")
    def _fits_somewhere(self) -> "BaseModel":
        # W and V in single precision; the first layer's depend on the dataset.
        weights = sum(2 * 4 * below * above for below, above in pairwise([1, *self.hidden, self.features]))
        if weights > LARGEST_WEIGHTS:
            raise ValueError(
                f"hidden, features: weights between these layers take {weights / 2**30:,.0f} GiB, "
                f"more than the {LARGEST_WEIGHTS / 2**30:,.0f} GiB allowed; give narrower ones"
            )
        return self


class Compact(Section):
    """The compact neuron-local rule: means over batch and units where the published one has convolutions."""

    module: ClassVar[str] = "compact"
    kind: Literal["compact"]
    channels: Width = 16
    """Hidden channels of the per-neuron update network."""
    error_channels: Width = 4
    """Channels of the learned error signal passed down through V."""
    readout_channels: Width = 2
    """Channels averaged in each low-rank product."""
    initial_rate: Annotated[float, Field(gt=0, lt=0.3)] = 0.03
    """Inner step size at the start of meta-training."""


class Published(Section):
    """The rule of Metz et al. 2019, at the sizes of its released code."""

    module: ClassVar[str] = "published"
    kind: Literal["published"]
    features: Width = 32
    """Width of the base model's last layer: theta depends on it."""
    channels: Width = 64
    """Hidden channels of the per-neuron update network."""
    error_channels: Width = 32
    """Channels of the learned error signal passed down through V."""
    readout_channels: Width = 4
    """Channels averaged in each low-rank product."""
    shared_backward: bool = True
    """Whether V takes the same change as W, or one of its own readouts."""
    rate: PositiveFloat = 0.0001
    """Inner step size; not learned."""


class Polynomial(Section):
    """The smallest learned rule: a polynomial of what a synapse sees, to second order (Confavreux et al. 2020)."""

    module: ClassVar[str] = "polynomial"
    kind: Literal["polynomial"]
    above: Literal["product", "activation"] = "product"
    """What counts as activity above: the plain product of activity below with the weights, in which Oja's rules are two
    coefficients each, or the layer's own activations, standardised."""
    initial_rate: PositiveFloat = 0.3
    """Of Oja's subspace rule, which is where meta-training starts."""


class Oja(Section):
    """Oja's subspace rule: Hebbian growth with the decay that keeps a layer's weights orthonormal."""

    module: ClassVar[str] = "hand_made"
    kind: Literal["oja"]
    rate: PositiveFloat = 1.0
    """Inner step size relative to the variance received; the default is the best of 0.03 to 3 on MNIST."""


class Hebb(Section):
    """Plain Hebbian growth with column-normalised weights."""

    module: ClassVar[str] = "hand_made"
    kind: Literal["hebb"]
    rate: PositiveFloat = 0.01
    """Inner step size for weights of unit mean square; the default is the best of 0.0003 to 0.03 on MNIST."""


class Identity(Section):
    """No learning at all: the randomly initialised base model."""

    module: ClassVar[str] = "hand_made"
    kind: Literal["identity"]


class MetaTrained(Section):
    """The rule with the theta of a meta-training run of this config."""

    kind: Literal["meta-trained"]
    run: Name
    """Key into `meta_train`."""
    meta_step: Count | None = None
    """Updates of theta after which it is taken: one of those after which the run keeps a snapshot; by default all."""


class Pretrained(Section):
    """The rule with a theta that comes with the project: `data/pretrained/<name>.safetensors`."""

    kind: Literal["pretrained"]
    name: Name
    """Stem of the file."""


Learned = Annotated[Compact | Published | Polynomial, Field(discriminator="kind")]
"""A rule that has a theta."""


class Untrained(Section):
    """A learned rule before meta-training, at several initial thetas."""

    kind: Literal["untrained"]
    rule: Learned
    """What is not trained."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 10
    """Initial thetas: those that meta-training runs of the seeds 0, 1, ... start from."""


Initial = Annotated[Learned | Oja | Hebb | Identity, Field(discriminator="kind")]
"""A rule that is complete from its config alone: hand-made, or learned at its initial theta."""

Rule = Annotated[Learned | Oja | Hebb | Identity | Untrained | MetaTrained | Pretrained, Field(discriminator="kind")]
