"""Which sources a run learns from, and what each of its base models has of it."""

from metaplastic.meta_train.spec import MetaTrain, TaskShape
from metaplastic.meta_train.tasks.spec import TaskSource


def trained_sources(spec: MetaTrain) -> dict[str, TaskSource]:
    """The sources of `tasks` that are not held out."""
    return {name: source for name, source in spec.tasks.sources.items() if name not in spec.held_out.kinds}


def tasks_each(spec: MetaTrain) -> int:
    """Parallel tasks of each base model."""
    return spec.parallel_tasks // len(spec.base_models)


def of_shape(spec: MetaTrain, shape: TaskShape) -> MetaTrain:
    """The run as the tasks of one base model see it: with their side and their batch."""
    tasks = spec.tasks.model_copy(update={"side": shape.side or spec.tasks.side})
    return spec.model_copy(update={"tasks": tasks, "batch": shape.batch or spec.batch})
