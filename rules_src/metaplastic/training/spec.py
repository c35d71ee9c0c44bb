"""Config that resumable runs share."""

from typing import Annotated

from pydantic import model_validator

from metaplastic.config.base import Count, Increasing, PositiveFloat, PositiveInt, Section

BRIEF = 500
"""Steps up to which a training is brief: it is compiled quickly, and has one core."""

Steps = Annotated[list[Count], Increasing]


class Keep(Section):
    """What a run keeps on disk, counted in dispatches: the steps between two measurements. It changes no result."""

    every: PositiveInt = 1
    """Dispatches between saved states, from which a killed run goes on."""
    newest: PositiveInt = 2
    """Number of newest states to keep."""
    milestones: PositiveInt | None = None
    """Dispatches between states that are kept for good, if any."""
    snapshots: PositiveInt | None = 1
    """Dispatches between snapshots, if any before the last, which is always kept."""

    @model_validator(mode="after")
    def _saved(self) -> "Keep":
        if self.milestones and self.milestones % self.every:
            raise ValueError(f"milestones: {self.milestones} is not a multiple of every, {self.every}")
        return self


class Descended(Section):
    """Options that trainings by gradient descent share; they are recorded after some of their steps."""

    steps: Steps
    """Gradient steps after which the network is recorded; results quote the last."""
    every: PositiveInt = 100
    """Gradient steps between saved states, from which a killed training goes on."""
    learning_rate: PositiveFloat = 0.001
    """Learning rate of Adam."""

    @property
    def cores(self) -> int:
        """Return the cores that a training makes good use of."""
        return 1 if self.steps[-1] <= BRIEF else 2

    @model_validator(mode="after")
    def _recorded_where_saved(self) -> "Descended":
        for step in self.steps:
            if step % self.every:
                raise ValueError(f"steps: {step} is not a multiple of every, {self.every}")
        return self
