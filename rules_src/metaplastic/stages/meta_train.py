"""Stage: meta-train a rule on tasks of several sources; continue where an earlier attempt was stopped."""

import json
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Annotated

import jax
from typer import Option

from metaplastic.config.base import canonical_json, parse_spec, short_hash
from metaplastic.io.jax_settings import compiling
from metaplastic.io.storage import content_hash, read_with_manifest
from metaplastic.meta_train.run import inner_step_flops, meta_training
from metaplastic.meta_train.spec import EXECUTION, MetaTrain
from metaplastic.stages.command import Code, Key, Output, Spec, TrainedBy, named_stores, run
from metaplastic.stages.trainings import folder_of, write_training
from metaplastic.training.launch import check_equal, is_first, is_launched, join, launch, locked, together
from metaplastic.training.loop import resumed
from metaplastic.training.progress import shown
from metaplastic.training.sharding import divide_cpu
from metaplastic.training.spec import Keep


def train(
    name: Key,
    spec: Spec,
    code: Code,
    trained_by: TrainedBy,
    snapshots: Output,
    history: Output,
    keep: Annotated[str, Option(help="What the run keeps on disk, as JSON, in place of the spec's.")] = "{}",
    dataset: Annotated[list[str] | None, Option(help="NAME=STORE of a dataset that tasks show, or watched.")] = None,
    start: Annotated[Path | None, Option(help="Theta file that the spec's `start` names.")] = None,
    devices: Annotated[int, Option(help="Devices to divide a CPU into; other devices stay as they are.", min=1)] = 1,
    processes: Annotated[int, Option(help="Processes that share out the tasks, each with its own devices.", min=1)] = 1,
) -> None:
    """Meta-train the rule of `spec`; write theta at the end and on the way, and the history of the run.

    A stopped run leaves a folder `state` beside the snapshots.
    """
    divide_cpu(devices)
    if not join() and processes > 1:
        launch(processes, cores=devices)
        return
    section = parse_spec(MetaTrain, spec)
    read = {name: read_with_manifest(store) for name, store in named_stores("--dataset", dataset or []).items()}
    datasets, contents = {name: of[0] for name, of in read.items()}, [of[1]["content_sha256"] for of in read.values()]
    data = short_hash(*contents, *([content_hash(start)] if start else []))
    folder = folder_of(snapshots.parent / "state", section, code=trained_by, data=data, without=EXECUTION)
    with together():
        check_equal(folder.record)
        training = meta_training(section, datasets, start, folder)
    # The lock holds until the outputs are written, since they are made from the folder's content.
    with together(), locked(folder.path):
        items = shown(resumed(training, folder, parse_spec(Keep, keep, "--keep")), training)
        # Seeds run the same programs, which are compiled until the first dispatch has ended.
        programs = short_hash(trained_by, canonical_json(section, without=["seed", *EXECUTION]))
        with nullcontext() if is_launched() else compiling(programs):
            list(islice(items, 2))
        for _ in items:
            pass
        if is_first():
            attributes = {"run": name, "gflop_per_inner_step": inner_step_flops(training.rule, section) / 1e9}
            made = {"spec": json.loads(spec), "code": code, "extra": {"device": jax.devices()[0].device_kind}}
            write_training(folder, snapshots, history, attributes, **made)


if __name__ == "__main__":
    run(train)
