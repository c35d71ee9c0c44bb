"""Config of applying a rule to a dataset."""

from typing import Annotated

from pydantic import Field

from rules_src.config.base import Count, Decay, Increasing, PositiveInt, Section


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
