"""Config of base models, of update rules, and of applying a rule to a dataset."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from metaplastic.config.base import Count, Decay, Increasing, Kind, Name, PositiveFloat, PositiveInt, Section

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


class Rule(Kind):
    """An update rule."""

    learned: ClassVar[bool] = True
    """Whether the rule has a theta."""
    kind: str

    @property
    def trained_by(self) -> str | None:
        """The meta-training run that makes its theta, if one does."""
        return None

    @property
    def snapshot(self) -> int | None:
        """The meta-steps after which its theta is taken from that run; by default all."""
        return None

    @property
    def pretrained(self) -> str | None:
        """The name of the theta that comes with the project, if it takes one."""
        return None

    @property
    def trained(self) -> bool:
        """Whether its theta was meta-trained at all."""
        return self.pretrained is not None or (self.trained_by is not None and self.snapshot != 0)

    @property
    def thetas(self) -> int:
        """How many thetas it has, unless a run makes them."""
        return 1

    @property
    def demanded_features(self) -> int | None:
        """The one width of features for which it can train a base model; None for any."""
        return None

    @property
    def hidden_channels(self) -> int:
        """The channels of its update network, which tell the work of a step; those of the compact rule by default."""
        return 16


class Initial(Rule):
    """A rule that is complete from its config alone: hand-made, or learned at its initial theta."""


class Learned(Initial):
    """A rule that has a theta."""


class Compact(Learned):
    """The compact neuron-local rule: means over batch and units where the published one has convolutions."""

    kind: Literal["compact"]
    channels: Width = 16
    """Hidden channels of the per-neuron update network."""
    error_channels: Width = 4
    """Channels of the learned error signal passed down through V."""
    readout_channels: Width = 2
    """Channels averaged in each low-rank product."""
    initial_rate: Annotated[float, Field(gt=0, lt=0.3)] = 0.03
    """Inner step size at the start of meta-training."""

    @property
    def hidden_channels(self) -> int:
        """The channels of its update network."""
        return self.channels


class Published(Learned):
    """The rule of Metz et al. 2019, at the sizes of its released code."""

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

    @property
    def demanded_features(self) -> int:
        """Theta depends on the width of the features."""
        return self.features

    @property
    def hidden_channels(self) -> int:
        """The channels of its update network."""
        return self.channels


class Polynomial(Learned):
    """The smallest learned rule: a polynomial of what a synapse sees, to second order (Confavreux et al. 2020)."""

    kind: Literal["polynomial"]
    above: Literal["product", "activation"] = "product"
    """What counts as activity above: the plain product of activity below with the weights, in which Oja's rules are two
    coefficients each, or the layer's own activations, standardised."""
    initial_rate: PositiveFloat = 0.3
    """Of Oja's subspace rule, which is where meta-training starts."""


class HandMade(Initial):
    """A rule that people wrote, without a theta."""

    learned: ClassVar[bool] = False


class Oja(HandMade):
    """Oja's subspace rule: Hebbian growth with the decay that keeps a layer's weights orthonormal."""

    module: ClassVar[str] = "metaplastic.update_rules.hand_made"
    kind: Literal["oja"]
    rate: PositiveFloat = 1.0
    """Inner step size relative to the variance received; the default is the best of 0.03 to 3 on MNIST."""


class Hebb(HandMade):
    """Plain Hebbian growth with column-normalised weights."""

    module: ClassVar[str] = "metaplastic.update_rules.hand_made"
    kind: Literal["hebb"]
    rate: PositiveFloat = 0.01
    """Inner step size for weights of unit mean square; the default is the best of 0.0003 to 0.03 on MNIST."""


class Identity(HandMade):
    """No learning at all: the randomly initialised base model."""

    module: ClassVar[str] = "metaplastic.update_rules.hand_made"
    kind: Literal["identity"]


class MetaTrained(Rule):
    """The rule with the theta of a meta-training run of this config."""

    kind: Literal["meta-trained"]
    run: Name
    """Key into `meta_train`."""
    meta_step: Count | None = None
    """Updates of theta after which it is taken: one of those after which the run keeps a snapshot; by default all."""

    @property
    def trained_by(self) -> str:
        """The run."""
        return self.run

    @property
    def snapshot(self) -> int | None:
        """The meta-step."""
        return self.meta_step


class Pretrained(Rule):
    """The rule with a theta that comes with the project: `data/pretrained/<name>.safetensors`."""

    kind: Literal["pretrained"]
    name: Name
    """Stem of the file."""

    @property
    def pretrained(self) -> str:
        """The name."""
        return self.name


class Untrained(Rule):
    """A learned rule before meta-training, at several initial thetas."""

    kind: Literal["untrained"]
    rule: Learned
    """What is not trained."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 10
    """Initial thetas: those that meta-training runs of the seeds 0, 1, ... start from."""

    @property
    def thetas(self) -> int:
        """One per seed."""
        return self.seeds


class Apply(Section):
    """How a rule is unrolled on a dataset's unlabelled training split."""

    seeds: Annotated[int, Field(ge=1, le=1000)] = 5
    """Base models, each with its own initial weights, input permutation and order of examples; intervals of one tell
    nothing of others."""
    seeds_a_theta: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Base models of each theta of a rule that has several, by default `seeds`; intervals count thetas too."""
    inner_steps: Annotated[list[Count], Increasing] = [0, 10, 30, 100, 200]
    """Inner steps after which features are recorded; the last is the one that results quote."""
    batch: PositiveInt = 64
    """Unlabelled examples an inner step."""
    average: Decay = 0.97
    """Decay an inner step of the moving average of the base model, which is what is recorded; 0 averages nothing."""
    probe: PositiveInt = 200
    """Test examples whose activations are kept for every layer."""
