"""Which sources a run learns from, and how many of its parallel tasks each base model has."""

from rules_src.config.meta_train import MetaTrain
from rules_src.config.tasks import Source


def trained_sources(spec: MetaTrain) -> dict[str, Source]:
    """The sources of `tasks` that are not held out."""
    return {name: source for name, source in spec.tasks.sources.items() if name not in spec.held_out.kinds}


def tasks_each(spec: MetaTrain) -> int:
    """Parallel tasks of each base model."""
    return spec.parallel_tasks // len(spec.base_models)
