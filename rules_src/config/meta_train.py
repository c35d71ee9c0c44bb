"""Config of a meta-training run: the rule, its task distribution, the outer loop."""

from typing import Annotated

from pydantic import Field, model_validator

from rules_src.config.base import Name, PositiveFloat, PositiveInt, Section, Seed
from rules_src.config.rules import BaseModel, Compact

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Jitter(Section):
    """Affine jitter of each glyph, drawn uniformly between minus and plus these."""

    rotation: NonNegative = 8.0
    """Degrees."""
    scale: NonNegative = 0.1
    """Relative change of size."""
    shift: NonNegative = 0.05
    """Share of the image side."""
    shear: NonNegative = 0.1
    """Tangent of the shear angle."""


class Variety(Section):
    """What differs between tasks and stays the same within one; all off by default."""

    inverted: Probability = 0.0
    """Probability that bright and dark are swapped."""
    gamma: NonNegative = 0.0
    """Pixel values are raised to exp of a number in +-this."""
    gain: NonNegative = 0.0
    """Standard deviation of a log-normal gain per input."""
    noise: NonNegative = 0.0
    """Largest standard deviation of Gaussian pixel noise."""
    dropped: Probability = 0.0
    """Largest share of inputs held at zero."""


class LetterTasks(Section):
    """Tasks of random characters, each seen through a permutation of its pixels of its own."""

    dataset: Name = "letters"
    """Key into `datasets`; its source has to be `letters`."""
    side: PositiveInt = 7
    """Height and width of the images that a task shows."""
    classes: Annotated[int, Field(ge=2)] = 10
    """Characters a task."""
    jitter: Jitter = Jitter()
    variety: Variety = Variety()


class Unroll(Section):
    """Truncated unrolls: each task is carried `truncation` inner steps a meta-step, until its own total is reached."""

    truncation: PositiveInt = 10
    """Inner steps that a meta-gradient sees."""
    shortest: PositiveInt = 20
    """Smallest total of inner steps before a task restarts."""
    longest: PositiveInt = 200
    """Largest total; totals are drawn log-uniformly."""

    @model_validator(mode="after")
    def _ordered(self) -> "Unroll":
        if not self.truncation <= self.shortest <= self.longest:
            raise ValueError("truncation <= shortest <= longest has to hold")
        return self


class Adam(Section):
    """Adam with global-norm clipping and a cosine decay to zero."""

    learning_rate: PositiveFloat = 0.01
    """Largest learning rate, after the warm-up."""
    clip: PositiveFloat = 1.0
    """Largest global norm of a meta-gradient."""
    warmup: Annotated[int, Field(ge=0)] = 20
    """Meta-steps of linear warm-up."""


class HeldOut(Section):
    """Accuracy watched while meta-training; never used to choose anything."""

    every: PositiveInt = 25
    """Meta-steps between measurements."""
    inner_steps: PositiveInt = 100
    """Inner steps from a fresh base model before it is scored."""
    tasks: PositiveInt = 8
    """Base models averaged for each dataset."""
    datasets: list[Name] = []
    """Further image datasets, resized to the tasks' side, that are watched besides held-out letters."""


class MetaTrain(Section):
    """One meta-training run."""

    rule: Compact
    base_model: BaseModel
    tasks: LetterTasks = LetterTasks()
    parallel_tasks: PositiveInt = 8
    """Tasks that share each meta-step."""
    batch: PositiveInt = 16
    """Unlabelled examples an inner step."""
    labelled: PositiveInt = 10
    """Labelled examples a class in each of the meta-objective's two batches."""
    ridge: PositiveFloat = 0.1
    """Penalty of the meta-objective's ridge readout."""
    unroll: Unroll = Unroll()
    optimiser: Adam = Adam()
    meta_steps: PositiveInt
    """Updates of theta."""
    held_out: HeldOut = HeldOut()
    seed: Seed = 0
    """Seed of everything random: theta, tasks, data, probes."""
