"""Config of episodes: their shape, and those that learners are evaluated on."""

from typing import Annotated, Literal

from pydantic import Field

from rules_src.config.base import Increasing, PositiveInt, Section, Seed

Way = Annotated[int, Field(ge=2)]


class Shape(Section):
    """An N-way K-shot episode."""

    way: Way = 5
    """Classes."""
    shots: PositiveInt = 1
    """Labelled examples a class, the support."""
    queries: PositiveInt = 5
    """Examples a class that are to be labelled."""


class Episodes(Section):
    """Evaluation episodes, drawn once and shared by all learners."""

    split: Literal["test", "validation"] = "test"
    """Split of the dataset whose labels they are of."""
    ways: Annotated[list[Way], Increasing] = [5, 20]
    """Classes an episode."""
    shots: Annotated[list[PositiveInt], Increasing] = [1, 5]
    """Labelled examples a class."""
    queries: PositiveInt = 5
    """Examples a class that are to be labelled."""
    episodes: Annotated[int, Field(ge=2)] = 1000
    """Of each way and number of shots."""
    seed: Seed = 0
    """Seed of the draws."""
