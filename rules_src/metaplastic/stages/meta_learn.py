"""Stage: train a few-shot learner on pseudo-tasks, going on where an earlier attempt was stopped."""

import json
from pathlib import Path
from typing import Annotated

import jax
from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import load_inputs
from metaplastic.embeddings.base import unlabelled
from metaplastic.few_shot.rounds import finish
from metaplastic.few_shot.spec import Learner, Partition
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_with_manifest
from metaplastic.stages.command import Code, DatasetStore, Key, Output, Spec, TrainedBy, run
from metaplastic.stages.trainings import folder_of_descent, write_training
from metaplastic.training.loop import spent
from metaplastic.training.sharding import divide_cpu


def learn(
    name: Key,
    spec: Spec,
    code: Code,
    trained_by: TrainedBy,
    dataset: DatasetStore,
    partitions: Annotated[Path, Option(help="Store of the partitions, whose clusters are the classes of tasks.")],
    snapshots: Output,
    history: Output,
    devices: Annotated[int, Option(help="Devices to divide a CPU into, which decides the last bits.", min=1)] = 1,
) -> None:
    """Train the learner of `spec`; write it as it was after each recorded step, and the history of the training.

    A stopped training leaves a folder `state` beside the snapshots.
    """
    divide_cpu(devices)
    section = parse_spec(Learner, spec)
    (stored, made), (clusters, drawn) = read_with_manifest(dataset), read_with_manifest(partitions)
    if clusters.attrs["dataset"] != stored.attrs["name"]:
        raise InputError(f"{partitions}: of dataset {clusters.attrs['dataset']!r}, not {stored.attrs['name']!r}")
    seen = unlabelled(load_inputs(stored))
    labels = clusters["cluster"].values
    data = [made["content_sha256"], drawn["content_sha256"]]
    folder = folder_of_descent(snapshots.parent / "state", section, code=trained_by, data=data)
    partition = parse_spec(Partition, json.dumps(drawn["spec"]), str(partitions))
    folders = finish(section, seen, partition, labels, folder)

    attributes = {**clusters.attrs, "learner": name, "learner_kind": section.kind}
    # From the manifest: one more attribute of the store would change its content, and so leave finished states behind.
    attributes |= {"partitions": len(labels), "clusters": drawn["spec"].get("clusters", 0)}
    extra = {"device": jax.devices()[0].device_kind, "seconds": round(sum(map(spent, folders)), 2), "of": attributes}
    write_training(folders[-1], snapshots, history, attributes, spec=json.loads(spec), code=code, extra=extra)


if __name__ == "__main__":
    run(learn)
