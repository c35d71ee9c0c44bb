"""Config of base models, update rules, and the application of a rule to a dataset."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from metaplastic.config.base import Count, Decay, Increasing, Kind, Name, PositiveFloat, PositiveInt, Section, TwoOrMore

Activation = Literal["relu", "leaky_relu", "elu", "swish", "tanh", "sigmoid", "softplus", "sine", "step"]

Width = Annotated[int, Field(gt=0, le=4096)]
"""Width of a part of a learned rule. A matrix between two wider parts would exceed the largest theta file."""

LARGEST_WEIGHTS = 2**36
"""Largest size in bytes of a base model's weights between its own layers; several base models are trained at once."""

Precision = Literal["float32", "tensorfloat32", "bfloat16"]


class BaseModel(Section):
    """The network that a rule trains."""

    hidden: list[PositiveInt]
    """Widths of the hidden layers, from the first up."""
    features: PositiveInt = 32
    """Width of the last layer, whose activations are the features."""
    activation: Activation = "relu"
    """Activation function after the batch norm of every layer, including the last."""

    def widths(self, inputs: int) -> list[int]:
        """Return the number of units of the input and of every layer above it."""
        return [inputs, *self.hidden, self.features]

    @model_validator(mode="after")
    def _fits_somewhere(self) -> "BaseModel":
        # W and V in single precision; the size of the first layer depends on the dataset.
        weights = sum(2 * 4 * below * above for below, above in pairwise(self.widths(1)))
        if weights > LARGEST_WEIGHTS:
            raise ValueError(
                f"hidden, features: weights between these layers take {weights / 2**30:,.0f} GiB, "
                f"more than the {LARGEST_WEIGHTS / 2**30:,.0f} GiB allowed; give narrower ones"
            )
        return self


class Rule(Kind):
    """An update rule."""

    learned: ClassVar[bool] = True
    """Whether the rule has a theta."""
    trained_by: ClassVar[str | None] = None
    """Key into `meta_train` of the run that makes the rule's theta."""
    snapshot: ClassVar[int | None] = None
    """Number of that run's updates after which theta is taken; by default all."""
    pretrained: ClassVar[str | None] = None
    """Name of the theta file that comes with the project."""
    demanded_features: ClassVar[int | None] = None
    """Width of the base model's last layer that the theta demands."""
    kind: str

    @property
    def hidden_channels(self) -> int:
        """Hidden channels of the update network, for estimates of resources: the compact rule's default if unknown."""
        return getattr(self, "channels", 16)

    @property
    def trained(self) -> bool:
        """Whether the rule's theta has been meta-trained at all."""
        return self.pretrained is not None or (self.trained_by is not None and self.snapshot != 0)


class Initial(Rule):
    """A rule that its config describes completely: hand-made, or learned and at its initial theta."""


class Learned(Initial):
    """A rule with a theta."""

    has_update_network: ClassVar[bool] = True
    """Whether its theta is an update network, whose precision can be chosen."""


class HandMade(Initial):
    """A rule without a theta."""

    learned: ClassVar[bool] = False


class Compact(Learned):
    """The compact neuron-local rule: the published rule with means over batch and units instead of convolutions."""

    kind: Literal["compact"]
    channels: Width = 16
    """Hidden channels of the per-neuron update network."""
    error_channels: Width = 4
    """Channels of the learned error signal passed down through V."""
    readout_channels: Width = 2
    """Channels averaged in each low-rank product."""
    initial_rate: Annotated[float, Field(gt=0, lt=0.3)] = 0.03
    """Inner step size at the start of meta-training."""


class Published(Learned):
    """The rule of Metz et al. 2019; sizes default to those of the released code."""

    kind: Literal["published"]
    features: Width = 32
    """Width of the base model's last layer, on which theta depends."""
    channels: Width = 64
    """Hidden channels of the per-neuron update network."""
    error_channels: Width = 32
    """Channels of the learned error signal passed down through V."""
    readout_channels: Width = 4
    """Channels averaged in each low-rank product."""
    shared_backward: bool = True
    """Whether V changes as W does; otherwise it has readouts of its own."""
    rate: PositiveFloat = 0.0001
    """Inner step size, which is not learned."""

    @property
    def demanded_features(self) -> int:  # type: ignore[override]
        """Width that the theta demands."""
        return self.features


class Polynomial(Learned):
    """The smallest learned rule: a second-order polynomial of the signals at a synapse (Confavreux et al. 2020)."""

    has_update_network: ClassVar[bool] = False
    kind: Literal["polynomial"]
    above: Literal["product", "activation"] = "product"
    """Activity above: the plain product of the activity below and the weights, with which Oja's rules are two
    coefficients each, or the layer's activations, standardised."""
    initial_rate: PositiveFloat = 0.3
    """Rate of Oja's subspace rule, with which meta-training starts."""


class Oja(HandMade):
    """Oja's subspace rule: Hebbian growth with the decay that keeps a layer's weights orthonormal."""

    kind: Literal["oja"]
    rate: PositiveFloat = 1.0
    """Inner step size relative to the variance of a layer's input; the default is the best of 0.03 to 3 on MNIST."""


class Hebb(HandMade):
    """Plain Hebbian growth with column-normalised weights."""

    kind: Literal["hebb"]
    rate: PositiveFloat = 0.01
    """Inner step size for weights of unit mean square; the default is the best of 0.0003 to 0.03 on MNIST."""


class Sanger(HandMade):
    """Sanger's rule (1989): Oja's with the principal components in order."""

    kind: Literal["sanger"]
    rate: PositiveFloat = 0.3
    """Inner step size relative to the variance of a layer's input; the default is the best of 0.1 to 3 on Fashion-MNIST
    over 50 to 1,000 inner steps, as of all rules below."""


class Bcm(HandMade):
    """The rule of Bienenstock, Cooper and Munro (1982): units become selective by a threshold that slides."""

    kind: Literal["bcm"]
    rate: PositiveFloat = 0.01
    """Inner step size for examples and weights of unit norm."""


class Competing(HandMade):
    """Competing hidden units (Krotov and Hopfield 2019): one unit learns an example, another one unlearns it."""

    kind: Literal["competing"]
    rate: PositiveFloat = 0.3
    """Inner step size for examples and weights of unit norm."""
    rank: TwoOrMore = 2
    """Rank of the unit that unlearns."""
    repulsion: Annotated[float, Field(ge=0, le=1)] = 0.1
    """How much it unlearns, relative to what the first one learns."""


class SoftHebb(HandMade):
    """SoftHebb (Moraitis et al. 2022): units compete softly for every example."""

    kind: Literal["soft-hebb"]
    rate: PositiveFloat = 3.0
    """Inner step size for examples and weights of unit norm."""
    temperature: PositiveFloat = 0.05
    """Temperature of the softmax by which they compete."""


class Identity(HandMade):
    """No learning at all: the randomly initialised base model."""

    kind: Literal["identity"]


class MetaTrained(Rule):
    """A rule with the theta of a meta-training run of this config."""

    kind: Literal["meta-trained"]
    run: Name
    """Key into `meta_train`."""
    meta_step: Count | None = None
    """Number of updates after which theta is taken; the run must keep a snapshot then. By default all updates."""

    @property
    def trained_by(self) -> str:  # type: ignore[override]
        """Key of the run."""
        return self.run

    @property
    def snapshot(self) -> int | None:  # type: ignore[override]
        """Number of updates."""
        return self.meta_step


class Pretrained(Rule):
    """A rule with a theta that comes with the project: `data/pretrained/<name>.safetensors`."""

    kind: Literal["pretrained"]
    name: Name
    """Name of the file without its ending."""

    @property
    def pretrained(self) -> str:  # type: ignore[override]
        """Name of the file."""
        return self.name


class Apply(Section):
    """How a rule is applied to a dataset's training split, without labels."""

    seeds: Annotated[int, Field(ge=1, le=1000)] = 5
    """Number of base models. Each has its own initial weights, input permutation and order of examples; an interval
    from a single base model says nothing about others."""
    seeds_a_theta: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Number of base models per theta of a rule with several thetas, by default `seeds`; intervals count thetas too."""
    inner_steps: Annotated[list[Count], Increasing] = [0, 10, 30, 100, 200]
    """Numbers of inner steps after which features are recorded. Results quote the last one; networks that a rule was
    not meta-trained on are judged after the first one above 0 too."""
    batch: PositiveInt = 64
    """Unlabelled examples per inner step."""
    average: Decay = 0.97
    """Decay per inner step of the base model's moving average, from which features are recorded; 0 turns it off."""
    probe: PositiveInt = 200
    """Number of test examples whose activations are kept for every layer."""
