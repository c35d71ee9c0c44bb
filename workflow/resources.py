"""What jobs ask of a machine: cores, and megabytes and minutes from the sizes in the config, more at every attempt.

Memory and time are meant to suffice and not to be exact. A job that is killed for asking too little is tried again with
more, and one that trains goes on from its last state.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from metaplastic.config.study import Config
from metaplastic.meta_train.spec import MetaTrain

MEGABYTE = 10**6
NUMBER = 4
"""Bytes of one number."""
PROCESS = 3000
"""Megabytes of a stage itself, most of them for XLA's compiler: up to 2,500 in the default study."""
EXAMPLES, INPUTS = 70_000, 3072
"""Size of the largest dataset that has a source here, for sections of the config that do not tell theirs."""
SECONDS = 1e-8
"""Seconds of one core that a meta-gradient takes per inner step, example, unit and pair of channels. The compact rule
takes 0.4e-8 to 0.9e-8, a forward pass less."""
LEAST, MOST = 30, 1440
"""Minutes of a job at its first attempt."""
OTHERS = {"mem_mb": 8000, "runtime": 240}
"""For a job that trains something else: those of CACTUs on Omniglot took up to 2.0 GB and 11 minutes of one core."""
SMALL = {"mem_mb": 4000, "runtime": 30}
"""For a job that gathers or draws."""
PREPARING = {"mem_mb": 6000, "runtime": 60}
"""For a job that fetches and decodes a dataset."""

Amounts = dict[str, int]
"""Megabytes `mem_mb` and minutes `runtime`."""


def growing(amounts: Amounts | Callable[[Any], Amounts]) -> dict[str, Callable[..., int]]:
    """Return resources of Snakemake: amounts, which may depend on the wildcards, times the attempt."""

    def of(name: str) -> Callable[..., int]:
        return lambda wildcards, attempt: attempt * (amounts(wildcards) if callable(amounts) else amounts)[name]

    return {name: of(name) for name in ("mem_mb", "runtime")}


def cores(config: Config, run: str) -> int:
    """Return the cores of each process of a run: two if it runs alone, one where its seeds can run side by side."""
    spec = config.meta_train[run]
    return 1 if spec.processes > 1 or spec.seeds > 1 else 2


def meta_training(spec: MetaTrain) -> Amounts:
    """Return what a meta-training run asks for: a batch of tasks through a window, with its base models kept."""
    together, channels, kept, work = spec.tasks_each // spec.microbatches, spec.rule.hidden_channels, 0, 0.0
    for shape in spec.base_models:
        widths = shape.widths(spec.side_of(shape) ** 2)
        # Per step a base model is kept, and what the update network makes of a batch: a few dozen arrays.
        of_batch = channels * spec.batch_of(shape) * sum(widths)
        kept = max(kept, together * NUMBER * (max(spec.unroll.lengths) * _weights(widths) + 50 * of_batch))
        work += spec.parallel_tasks / len(spec.base_models) * max(spec.unroll.lengths) * of_batch * channels
    return {
        "mem_mb": PROCESS + kept // MEGABYTE,
        "runtime": _minutes(SECONDS * work * spec.meta_steps / spec.processes),
    }


def applying(config: Config, base_model: str, rule: str, dataset: str) -> Amounts:
    """Return what applying a rule asks for: base models and their averages, the dataset twice, and two layers of it."""
    spec, network, of_rule = config.apply, config.base_models[base_model], config.rules[rule]
    thetas = config.meta_train[of_rule.trained_by].seeds if of_rule.trained_by else 1
    seeds, inputs = max(spec.seeds, spec.seeds_a_theta or 0), config.datasets[dataset].inputs or INPUTS
    widths = network.widths(inputs)
    two_layers = max(map(sum, pairwise(widths)))
    recorded = thetas * seeds * len(spec.inner_steps) * EXAMPLES * network.features
    kept = NUMBER * (3 * seeds * _weights(widths) + EXAMPLES * (2 * inputs + two_layers) + 2 * recorded)
    work = thetas * seeds * spec.inner_steps[-1] * spec.batch * sum(widths) * of_rule.hidden_channels**2
    return {"mem_mb": PROCESS + kept // MEGABYTE, "runtime": _minutes(SECONDS * work)}


def _weights(widths: Sequence[int]) -> int:
    """Return how many numbers W and V hold."""
    return 2 * sum(below * above for below, above in pairwise(widths))


def _minutes(seconds: float) -> int:
    return min(max(LEAST, round(seconds / 60)), MOST)
