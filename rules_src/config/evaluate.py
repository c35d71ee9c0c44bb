"""Config of the few-shot evaluation."""

from typing import Annotated

from pydantic import Field

from rules_src.config.base import Increasing, PositiveFloat, PositiveInt, Section, Seed


class FewShot(Section):
    """K labelled examples a class fit a readout on frozen features; the whole test split scores it."""

    shots: Annotated[list[PositiveInt], Increasing] = [1, 2, 5, 10]
    """Labelled examples a class."""
    draws: Annotated[int, Field(ge=2, le=10000)] = 20
    """Independent draws of the labelled examples, the same for every method."""
    draws_over_inner_steps: Annotated[int, Field(ge=2, le=10000)] | None = None
    """Draws behind the curves over inner steps, the first of the above; by default all of them."""
    logistic_c: PositiveFloat = 1.0
    """Inverse regularisation of the logistic regression, on features of unit mean variance."""
    ridge: PositiveFloat = 0.1
    """Penalty of the ridge readout, on features of unit mean variance."""
    seed: Seed = 0
    """Seed of the label draws."""
