"""`python -m benchmarks.beside_torch`: training steps of few-shot learners, in turn with PyTorch's of the same network.

PyTorch is no requirement of the project; install it beside for this.
"""

import os
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
from metaplastic.few_shot.episodes import pool
from metaplastic.few_shot.learners import maml, protonets
from metaplastic.few_shot.learners.meta_learning import MetaLearning
from metaplastic.few_shot.spec import Maml, MetaLearned, ProtoNets, Shape
from metaplastic.io.errors import InputError
from metaplastic.stages.command import run
from metaplastic.training.loop import Folder
from typer import Option

from benchmarks.measurement import seconds

IMAGE, CLASSES, MEMBERS = (28, 28, 1), 200, 20
"""Of made-up data, about as many classes as matter for speed."""
SHAPE = Shape(way=20, shots=1, queries=5)
LEARNERS: dict[str, tuple[Any, MetaLearned, int]] = {
    "protonets": (protonets, ProtoNets(kind="protonets", tasks=SHAPE, filters=64), 20),
    "maml": (maml, Maml(kind="maml", tasks=SHAPE, task_batch=4, filters=32), 5),
}
"""Module, section, and training steps a round."""


class Taken(NamedTuple):
    """Seconds of a round."""

    clock: float
    processor: float
    """Of all threads together."""


def measure(
    rounds: Annotated[int, Option(min=3, help="Of each learner; both take one turn in each.")] = 5,
    only: Annotated[str, Option(help="The one learner to measure.")] = "",
) -> None:
    """Print tasks a second of both, and what ours are as a multiple of PyTorch's."""
    if only and only not in LEARNERS:
        raise InputError(f"--only: no learner {only!r}; valid: {', '.join(LEARNERS)}")
    try:
        import_module("torch")
    except ImportError as error:
        raise InputError("PyTorch is not installed; install torch beside the project to measure it") from error
    theirs: Any = import_module("benchmarks.torch_learners")
    inputs = np.random.default_rng(0).random((CLASSES * MEMBERS, *IMAGE), np.float32)
    check_same_networks(theirs, inputs)
    print(f"{cores()} cores, load {os.getloadavg()[0]:.1f}; JAX {jax.__version__}, PyTorch {version('torch')}")
    print("| | tasks/s | PyTorch | ratio | of rounds | ratio of processor seconds | of rounds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in [only] if only else LEARNERS:
        module, spec, steps = LEARNERS[name]
        here, there = trained_here(module, spec, inputs, steps), theirs.trained(spec, inputs, MEMBERS, steps, cores())
        print(row(name, *in_turn(here, there, rounds), tasks=steps * spec.task_batch), flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def check_same_networks(theirs: Any, inputs: np.ndarray) -> None:
    """Check that loss and gradient of each learner on one task are the same in both, from the same weights.

    Raises:
        ValueError: they are not, so that their times say nothing.
    """
    flat = inputs.reshape(len(inputs), -1)
    way, shots, queries = SHAPE.way, SHAPE.shots, SHAPE.queries
    support, query = flat[: way * shots].reshape(way, shots, -1), flat[-way * queries :].reshape(way, queries, -1)
    for name, (module, spec, _) in LEARNERS.items():
        learner = module.initial(spec, jax.random.key(0), IMAGE)
        loss, gradient = jax.jit(jax.value_and_grad(lambda learner: learner.outcome(support, query).loss))(learner)
        loss_there, gradient_there = theirs.loss_and_gradient(spec, learner, support, query, IMAGE)
        kernels = np.stack([np.linalg.norm(kernel) for kernel in gradient.network.kernels])
        if not np.allclose([loss, *kernels], [loss_there, *gradient_there], rtol=1e-2):
            raise ValueError(f"{name}: {loss}, {kernels} here, {loss_there}, {gradient_there} in PyTorch")


def trained_here(module: Any, spec: MetaLearned, inputs: np.ndarray, steps: int) -> Callable[[], None]:
    """Return a function that takes so many training steps, from the drawing of tasks to the update of weights."""
    labels = np.repeat(np.arange(CLASSES), MEMBERS)[None]
    tasks = pool(labels, np.ones(labels.shape[1], bool), spec.tasks, place="tasks")
    flat = inputs.reshape(len(inputs), -1)
    training = MetaLearning(module.initial, spec, flat, IMAGE, tasks, Folder(Path(os.devnull), {}))
    state = jax.jit(training.initial)()

    def dispatched() -> None:
        jax.block_until_ready(training.dispatched(state, training.data, steps))

    return dispatched


def in_turn(ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> tuple[list[Taken], list[Taken]]:
    """Return what rounds of each took. The first is not counted; then they take turns in starting."""
    for call in (ours, theirs):
        call()
    taken: dict[Callable[[], None], list[Taken]] = {ours: [], theirs: []}
    for number in range(rounds):
        for call in (ours, theirs)[:: 1 if number % 2 else -1]:
            processor = time.process_time()
            clock = seconds(call)
            taken[call].append(Taken(clock, time.process_time() - processor))
    return taken[ours], taken[theirs]


def row(name: str, ours: Sequence[Taken], theirs: Sequence[Taken], *, tasks: int) -> str:
    """Return a learner's row of the table."""
    rates = [f"{tasks / median(each.clock for each in taken):.1f}" for taken in (ours, theirs)]
    cells = []
    for here, there in zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True):
        ratios = [other / own for own, other in zip(here, there, strict=True)]
        cells += [f"{median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"]
    return f"| {' | '.join([name, *rates, *cells])} |"


if __name__ == "__main__":
    run(measure)
