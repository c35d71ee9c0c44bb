"""Config of what every resumable run has."""

from pydantic import model_validator

from rules_src.config.base import PositiveInt, Section


class Keep(Section):
    """What a run keeps on disk, counted in dispatches: the steps between two measurements. No result depends on it."""

    every: PositiveInt = 1
    """Dispatches between saved states, from which a killed run goes on."""
    newest: PositiveInt = 2
    """Newest states kept."""
    milestones: PositiveInt | None = None
    """Dispatches between states that are kept for good, if any."""
    snapshots: PositiveInt | None = 1
    """Dispatches between snapshots that are kept for good, if any."""

    @model_validator(mode="after")
    def _saved(self) -> "Keep":
        if self.milestones and self.milestones % self.every:
            raise ValueError(f"milestones: {self.milestones} is no multiple of every, {self.every}")
        return self
