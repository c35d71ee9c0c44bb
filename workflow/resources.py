"""What jobs ask of a cluster: megabytes and minutes from the sizes in the config, as much more at every attempt.

Both are meant to suffice and not to be exact: a job that is killed for asking too little is tried again with more, and
one that trains goes on from its last state.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from rules_src.config.apply import Apply
from rules_src.config.meta_train import MetaTrain
from rules_src.config.rules import BaseModel, Compact, Learned, Published

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
"""Of a job that trains something else: the largest of CACTUs on Omniglot took 2.5 GB and half an hour of one core."""

Resource = Callable[..., int]


def growing(amount: int | Callable[[Any], int]) -> Resource:
    """A resource of Snakemake that is `amount`, of the job's wildcards where it depends on them, times the attempt."""
    return lambda wildcards, attempt: attempt * (amount(wildcards) if callable(amount) else amount)


def meta_training(spec: MetaTrain) -> dict[str, int]:
    """Of a meta-training run: a batch of tasks through a window, of whose inner steps the base models are kept."""
    together = spec.parallel_tasks // len(spec.base_models) // spec.microbatches
    channels, kept, work = _channels(spec.rule), 0, 0.0
    for shape in spec.base_models:
        batch, inputs = shape.batch or spec.batch, (shape.side or spec.tasks.side) ** 2
        weights, units = _weights(shape, inputs), inputs + sum(shape.hidden) + shape.features
        length = max(spec.unroll.truncations or [spec.unroll.truncation])
        # What a base model keeps a step, and what the update network makes of a batch in one, of which it is a few
        # dozen arrays.
        kept = max(kept, together * NUMBER * (length * weights + 50 * channels * batch * units))
        work += spec.parallel_tasks / len(spec.base_models) * length * batch * units * channels**2
    return {
        "mem_mb": PROCESS + kept // MEGABYTE,
        "runtime": _minutes(SECONDS * work * spec.meta_steps / spec.processes),
    }


def applying(spec: Apply, base_model: BaseModel, rule: Any, dataset: Any, *, thetas: int) -> dict[str, int]:
    """Of applying a rule: base models with their averages, the dataset twice, and two layers of all its examples."""
    inputs = _inputs(dataset)
    weights, units = _weights(base_model, inputs), inputs + sum(base_model.hidden) + base_model.features
    widest = max(map(sum, pairwise([inputs, *base_model.hidden, base_model.features])))
    recorded = thetas * spec.seeds * len(spec.inner_steps) * EXAMPLES * base_model.features
    kept = NUMBER * (3 * spec.seeds * weights + EXAMPLES * (2 * inputs + widest) + 2 * recorded)
    channels = _channels(rule) if isinstance(rule, Compact | Published) else _channels(Compact(kind="compact"))
    work = thetas * spec.seeds * spec.inner_steps[-1] * spec.batch * units * channels**2
    return {"mem_mb": PROCESS + kept // MEGABYTE, "runtime": _minutes(SECONDS * work)}


def _channels(rule: Learned) -> int:
    return rule.channels


def _weights(base_model: BaseModel, inputs: int) -> int:
    """Numbers of W and V."""
    return 2 * sum(below * above for below, above in pairwise([inputs, *base_model.hidden, base_model.features]))


def _inputs(dataset: Any) -> int:
    side, words = getattr(dataset, "side", None), getattr(dataset, "vocabulary", None)
    return words or (side**2 if side else INPUTS)


def _minutes(seconds: float) -> int:
    return min(max(LEAST, round(seconds / 60)), MOST)
