"""A tiny run in a process of its own: python toy_run.py FOLDER [CHANGES OF THE SPEC AS JSON] [EVENT] [LATE].

With EVENT, the process kills itself at that one of its writes, renames and flushes; a write is then half done. Of
several processes all but the first come LATE by so many seconds to what they do together.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from metaplastic.config.base import canonical_json, short_hash
from metaplastic.io.errors import InputError
from metaplastic.meta_train.held_out import source_probe
from metaplastic.meta_train.run import MetaTraining, group
from metaplastic.meta_train.spec import EXECUTION, MetaTrain
from metaplastic.meta_train.tasks.images import Images
from metaplastic.network import BaseModel, Layer
from metaplastic.training.checkpoint import versions
from metaplastic.training.launch import check_equal, is_first, join, launch, together
from metaplastic.training.loop import Folder, resumed
from metaplastic.update_rules.neuron_local import NeuronLocalRule

SPEC = {
    "rule": {"kind": "compact"},
    "base_models": [{"hidden": [], "features": 3}, {"hidden": [], "features": 2}],
    "tasks": {"side": 3, "classes": 2},
    "parallel_tasks": 32,
    "batch": 5,
    "labelled": 3,
    "unroll": {"truncation": 2, "shortest": 4, "longest": 12, "longest_at_first": 6, "growth": 4},
    "gradient": {"kind": "pes"},
    "optimiser": {"warmup": 2, "learning_rate": 0.1},
    "average": 0.5,
    "meta_steps": 12,
    "held_out": {"every": 2, "inner_steps": 2, "tasks": 2},
}


class Hebbian(NeuronLocalRule):
    """A rule that compiles in no time and has no use for what learned rules share."""

    rates: Float[Array, "2"]

    def __init__(self, *rates: float) -> None:
        self.rates = jnp.array(rates)
        self.error_out = self.forward = self.backward = self.bias_readout = None

    @property
    def rate(self) -> Float[Array, ""]:
        return self.rates[0]

    def top_error(self, features):
        raise NotImplementedError

    def update_network(self, x, z, error, bias, statistics):
        raise NotImplementedError

    def update(self, phi: BaseModel, x: Float[Array, "batch input"]) -> BaseModel:
        (layer,) = phi.layers
        change = x.T @ phi.features(x) / len(x)
        W = (1 - self.rates[1]) * layer.W + self.rates[0] * change
        return BaseModel((Layer(W, layer.b, layer.V),), phi.activation)


def kill_at(event: int) -> None:
    left = event

    def counted(function, prepare=lambda *_: None):
        def wrapped(first, *rest, **options):
            nonlocal left
            # Others, such as the compilation cache, write and rename too.
            left -= isinstance(first, int) or str(first).endswith(".tmp")
            if left < 0:
                prepare(first, *rest)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(first, *rest, **options)

        return wrapped

    write = Path.write_bytes
    Path.write_bytes = counted(write, lambda path, content: write(path, content[: len(content) // 2]))
    os.fsync = counted(os.fsync)
    os.replace = counted(os.replace)


def main(folder: str, changes: str = "{}", event: str = "", late: str = "0") -> None:
    if event:
        kill_at(int(event))
    spec = MetaTrain.model_validate(SPEC | json.loads(changes))
    if not join() and spec.processes > 1:
        launch(spec.processes, cores=1)
        return
    record = {"config": short_hash(canonical_json(spec, without=EXECUTION)), **versions()}
    with together():
        check_equal(record)
        if not is_first():
            time.sleep(float(late))
        train(Path(folder), spec, record)


def train(folder: Path, spec: MetaTrain, record: dict[str, str]) -> None:
    pixels = jax.random.randint(jax.random.key(0), (8, 6, 6), 0, 256).astype(jnp.uint8)
    letters = Images(pixels, first=jnp.arange(0, 8, 2), count=jnp.full(4, 2))
    like = group(spec, spec.base_models[0])
    probe = jax.jit(lambda: source_probe(jax.random.key(2), letters, like, tasks=2, inner_steps=2))()
    rule = Hebbian(0.1, 0.01)
    place = Folder(folder, record)
    run = MetaTraining(rule, {"letters": letters}, spec, {"letters": (probe, 2)}, place)
    for item in resumed(run, place, spec.keep):
        if is_first():
            print(int(item.state.meta_step), flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except InputError as error:
        sys.exit(f"error: {error}")
