"""Stage: meta-train a rule on tasks of several sources, going on where an earlier attempt was stopped."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import jax
import xarray as xr
from jaxtyping import PRNGKeyArray
from typer import Option

from rules_src.config.base import canonical_json, parse_spec, short_hash
from rules_src.config.meta_train import MetaTrain
from rules_src.errors import InputError
from rules_src.meta_train import history as run_history
from rules_src.meta_train.data import held_out_sources, task_sources
from rules_src.meta_train.held_out import Probe, source_probe, watched
from rules_src.meta_train.resumable import HISTORY, resumable_run
from rules_src.meta_train.state import versions
from rules_src.meta_train.truncation import inner_step_flops
from rules_src.stages.command import named_stores, run
from rules_src.stages.progress import shown
from rules_src.storage import check_manifest, content_hash, read_zarr, write_manifest, write_zarr
from rules_src.tasks.source import Source
from rules_src.update_rules.learned import LearnedRule
from rules_src.update_rules.theta import save_theta, trained_rule


def train(
    spec: Annotated[str, Option(help="The run's section of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    theta: Annotated[Path, Option(help="Safetensors file to write; `state` beside it is what a stopped run leaves.")],
    history: Annotated[Path, Option(help="Zarr store to write.")],
    dataset: Annotated[list[str] | None, Option(help="NAME=STORE of a dataset that tasks show, or watched.")] = None,
    start: Annotated[Path | None, Option(help="Theta file that the spec's `start` names.")] = None,
    devices: Annotated[int, Option(help="Devices that a CPU is divided into; no other device is.", min=1)] = 1,
) -> None:
    """Meta-train the rule of `spec`; write its theta and the history of the run."""
    jax.config.update("jax_num_cpu_devices", devices)  # type: ignore[no-untyped-call]
    section = parse_spec(MetaTrain, spec)
    stores = named_stores("--dataset", dataset or [])
    datasets = {name: read_zarr(store) for name, store in stores.items()}
    key_rule, key_probe = jax.random.split(jax.random.fold_in(jax.random.key(section.seed), 1))
    sources = task_sources(section.tasks, datasets)
    training = {name: sources[name] for name in section.trained}
    probes = _probes(key_probe, sources, section, datasets)

    contents = [check_manifest(store)["content_sha256"] for store in stores.values()]
    data = short_hash(*contents, *([content_hash(start)] if start else []))
    # Only what was made by the same code from the same data is gone on from.
    folder = theta.parent / "state" / f"{code}-{data}"
    record = {"config": short_hash(section), "code": code, "data": data, **versions()}
    rule = first_rule(section, start, key_rule)
    for item in shown(resumable_run(rule, training, section, probes, folder=folder, record=record), section.meta_steps):
        state = item.state

    manifest = {"spec": json.loads(spec), "code": code, "extra": {"device": jax.devices()[0].device_kind}}
    save_theta(state.average, theta, spec=section.rule.model_dump(mode="json"))
    write_manifest(theta, **manifest)
    gflop = inner_step_flops(rule, section) / 1e9
    write_zarr(run_history.read(folder / HISTORY).assign_attrs(gflop_per_inner_step=gflop), history, **manifest)


def first_rule(spec: MetaTrain, start: Path | None, key: PRNGKeyArray) -> LearnedRule:
    """The rule at the theta that a run starts from.

    Raises:
        InputError: `start` is missing, is given though the spec names none, or holds a rule of another config.
    """
    if (start is None) != (spec.start is None):
        raise InputError(f"--start: has to be given where, and only where, the spec names one; it names {spec.start}")
    # Imported by name, and declared to the workflow's fingerprints as a root of its own.
    rule: Any = import_module(f"rules_src.update_rules.{spec.rule.module}").build(spec.rule, key)
    if start is not None:
        found, rule = trained_rule(start)
        if found != spec.rule:
            raise InputError(f"{start}: holds {canonical_json(found)}, the run is of {canonical_json(spec.rule)}")
    return rule


def _probes(
    key: jax.Array, sources: Mapping[str, Source], spec: MetaTrain, datasets: Mapping[str, xr.Dataset]
) -> dict[str, tuple[Probe, int]]:
    """What is watched, and its number of classes: the sources, held-out parts of those trained on, other datasets."""
    held_out = held_out_sources(spec.trained, spec.tasks, datasets)
    shown = {**sources, **{f"held-out {name}": source for name, source in held_out.items()}}
    probes = {name: (source_probe(key, source, spec), spec.tasks.classes) for name, source in shown.items()}
    return probes | {name: watched(key, datasets[name], spec) for name in spec.held_out.datasets}


if __name__ == "__main__":
    run(train)
