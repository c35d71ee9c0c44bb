"""Stage: meta-train a rule on tasks of several sources; continue where an earlier attempt was stopped."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
from typer import Option

from metaplastic.config.base import canonical_json, parse_spec, same_section, short_hash
from metaplastic.io.storage import check_manifest, content_hash, read_zarr, write_manifest, write_whole, write_zarr
from metaplastic.meta_train.run import inner_step_flops, meta_training
from metaplastic.meta_train.spec import EXECUTION, MetaTrain
from metaplastic.stages.command import named_stores, run
from metaplastic.training import history as run_history
from metaplastic.training.checkpoint import versions
from metaplastic.training.launch import check_equal, is_first, join, launch, together
from metaplastic.training.lock import locked
from metaplastic.training.loop import HISTORY, SNAPSHOTS, Folder, resumed
from metaplastic.training.progress import shown
from metaplastic.training.spec import Keep
from metaplastic.update_rules.theta import save_theta


def train(
    name: Annotated[str, Option(help="Key of the run in the config.")],
    spec: Annotated[str, Option(help="The run's section of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    trained_by: Annotated[str, Option(help="Fingerprint of the part of it that a state depends on.")],
    theta: Annotated[Path, Option(help="Safetensors file to write; `state` beside it is what a stopped run leaves.")],
    history: Annotated[Path, Option(help="Zarr store to write.")],
    snapshots: Annotated[Path, Option(help="Folder to write: the theta files that the run has kept.")],
    keep: Annotated[str, Option(help="What the run keeps on disk, as JSON, in place of the spec's.")] = "{}",
    dataset: Annotated[list[str] | None, Option(help="NAME=STORE of a dataset that tasks show, or watched.")] = None,
    start: Annotated[Path | None, Option(help="Theta file that the spec's `start` names.")] = None,
    devices: Annotated[int, Option(help="Devices that a CPU is divided into; no other device is.", min=1)] = 1,
    processes: Annotated[int, Option(help="Processes that share out the tasks, each with its own devices.", min=1)] = 1,
) -> None:
    """Meta-train the rule of `spec`; write its theta, its snapshots and the history of the run."""
    if devices > 1:
        jax.config.update("jax_num_cpu_devices", devices)  # type: ignore[no-untyped-call]
    if not join() and processes > 1:
        launch(processes, cores=devices)
        return
    section = parse_spec(MetaTrain, spec)
    stores = named_stores("--dataset", dataset or [])
    contents = [check_manifest(store)["content_sha256"] for store in stores.values()]
    data = short_hash(*contents, *([content_hash(start)] if start else []))
    # A run continues only from a state that the same code made from the same data.
    record = {"config": canonical_json(section, without=EXECUTION), "code": trained_by, "data": data, **versions()}
    folder = Folder(theta.parent / "state" / f"{trained_by}-{data}", record, partial(same_section, MetaTrain))
    datasets = {name: read_zarr(store) for name, store in stores.items()}
    with together():
        check_equal(record)
        training = meta_training(section, datasets, start, folder)
    # The lock holds until the outputs are written, since they are made from the folder's content.
    with together(), locked(folder.path):
        for item in shown(resumed(training, folder, parse_spec(Keep, keep, "--keep")), training):
            state = item.state
        if not is_first():
            return

        manifest = {"spec": json.loads(spec), "code": code, "extra": {"device": jax.devices()[0].device_kind}}
        save_theta(state.average, theta, spec=section.rule.model_dump(mode="json"))
        write_manifest(theta, **manifest)
        kept = folder.path / SNAPSHOTS
        kept.mkdir(exist_ok=True)
        write_whole(snapshots, lambda temporary: shutil.copytree(kept, temporary))
        write_manifest(snapshots, **manifest)
        gflop = inner_step_flops(training.rule, section) / 1e9
        whole = run_history.read(folder.path / HISTORY).assign_attrs(run=name, gflop_per_inner_step=gflop)
        write_zarr(whole, history, **manifest)


if __name__ == "__main__":
    run(train)
