"""What jobs ask of a cluster: megabytes and minutes from the sizes in the config, as much more at every attempt.

Both are meant to suffice and not to be exact: a job that is killed for asking too little is tried again with more, and
one that trains goes on from its last state.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from metaplastic.meta_train.spec import MetaTrain
from metaplastic.update_rules.spec import Apply, BaseModel, Compact, Published

MEGABYTE = 10**6
NUMBER = 4
"""Bytes of one."""
PROCESS = 3000
"""Megabytes of a stage itself, most of them taken by XLA's compiler: up to 2,500 in the default study."""
EXAMPLES, INPUTS = 70_000, 3072
"""Of the largest dataset that has a source here; a section of the config need not tell them."""
SECONDS = 1e-8
"""That a meta-gradient takes on one core for each inner step, example, unit and pair of channels: 0.4e-8 to 0.9e-8 of
the compact rule. A forward pass takes less."""
LEAST, MOST = 30, 1440
"""Minutes of a job at its first attempt."""
OTHERS = {"mem_mb": 8000, "runtime": 240}
"""Of a job that trains something else: those of CACTUs on Omniglot took up to 2.0 GB and 11 minutes of one core."""
SMALL = {"mem_mb": 4000, "runtime": 30}
"""Of one that gathers or draws."""

Resource = Callable[..., int]


def growing(amount: int | Callable[[Any], int]) -> Resource:
    """A resource of Snakemake that is `amount`, of the job's wildcards where it depends on them, times the attempt."""
    return lambda wildcards, attempt: attempt * (amount(wildcards) if callable(amount) else amount)


def meta_training(spec: MetaTrain) -> dict[str, int]:
    """Of a meta-training run: a batch of tasks through a window, of whose inner steps the base models are kept."""
    together, channels, kept, work = spec.tasks_each // spec.microbatches, _channels(spec.rule), 0, 0.0
    length = spec.longest_window
    for shape in spec.base_models:
        widths = _widths(shape, spec.side_of(shape) ** 2)
        # What a base model keeps a step, and what the update network makes of a batch in one, of which it is a few
        # dozen arrays.
        of_batch = channels * spec.batch_of(shape) * sum(widths)
        kept = max(kept, together * NUMBER * (length * _weights(widths) + 50 * of_batch))
        work += spec.tasks_each * length * of_batch * channels
    return {
        "mem_mb": PROCESS + kept // MEGABYTE,
        "runtime": _minutes(SECONDS * work * spec.meta_steps / spec.processes),
    }


def applying(spec: Apply, base_model: BaseModel, rule: Any, dataset: Any, *, thetas: int) -> dict[str, int]:
    """Of applying a rule: base models with their averages, the dataset twice, and two layers of all its examples."""
    seeds, inputs = max(spec.seeds, spec.seeds_a_theta or 0), _inputs(dataset)
    widths = _widths(base_model, inputs)
    two_layers = max(map(sum, pairwise(widths)))
    recorded = thetas * seeds * len(spec.inner_steps) * EXAMPLES * base_model.features
    kept = NUMBER * (3 * seeds * _weights(widths) + EXAMPLES * (2 * inputs + two_layers) + 2 * recorded)
    work = thetas * seeds * spec.inner_steps[-1] * spec.batch * sum(widths) * _channels(rule) ** 2
    return {"mem_mb": PROCESS + kept // MEGABYTE, "runtime": _minutes(SECONDS * work)}


def _channels(rule: Any) -> int:
    """Of the update network; rules without one, or whose theta is in a file, count as the compact one."""
    return (rule if isinstance(rule, Compact | Published) else Compact(kind="compact")).channels


def _widths(base_model: BaseModel, inputs: int) -> list[int]:
    # As base_model.layer_widths; that module would import what planning does not need.
    return [inputs, *base_model.hidden, base_model.features]


def _weights(widths: Sequence[int]) -> int:
    """Numbers of W and V."""
    return 2 * sum(below * above for below, above in pairwise(widths))


def _inputs(dataset: Any) -> int:
    side, words = getattr(dataset, "side", None), getattr(dataset, "vocabulary", None)
    return words or (side**2 if side else INPUTS)


def _minutes(seconds: float) -> int:
    return min(max(LEAST, round(seconds / 60)), MOST)
