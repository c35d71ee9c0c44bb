"""Stage: meta-train a rule on rendered characters, going on where an earlier attempt was stopped."""

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated

import jax
from typer import Option

from rules_src.config.base import parse_spec, short_hash
from rules_src.config.meta_train import MetaTrain
from rules_src.errors import InputError
from rules_src.meta_train import history as run_history
from rules_src.meta_train.data import glyphs, small_images
from rules_src.meta_train.held_out import Probe, dataset_probe, letters_probe
from rules_src.meta_train.resumable import HISTORY, resumable_run
from rules_src.meta_train.state import versions
from rules_src.stages.command import run
from rules_src.stages.progress import shown
from rules_src.storage import check_manifest, read_zarr, write_manifest, write_zarr
from rules_src.update_rules.theta import save_theta


def train(
    spec: Annotated[str, Option(help="The run's section of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    letters: Annotated[Path, Option(help="Store of the letters that tasks are made of.")],
    theta: Annotated[Path, Option(help="Safetensors file to write; `state` beside it is what a stopped run leaves.")],
    history: Annotated[Path, Option(help="Zarr store to write.")],
    held_out: Annotated[list[str] | None, Option(help="NAME=STORE of a dataset to watch.")] = None,
    devices: Annotated[int, Option(help="Devices that a CPU is divided into; no other device is.", min=1)] = 1,
) -> None:
    """Meta-train the rule of `spec`; write its theta and the history of the run."""
    jax.config.update("jax_num_cpu_devices", devices)  # type: ignore[no-untyped-call]
    section = parse_spec(MetaTrain, spec)
    letters_dataset = read_zarr(letters)
    training = glyphs(letters_dataset, section.tasks, held_out=False)
    key = jax.random.fold_in(jax.random.key(section.seed), 1)
    key_rule, key_probe = jax.random.split(key)
    watched = dict(_pairs(held_out or []))

    probes = {
        "letters": (letters_probe(key_probe, training, section), section.tasks.classes),
        "held-out letters": (
            letters_probe(key_probe, glyphs(letters_dataset, section.tasks, held_out=True), section),
            section.tasks.classes,
        ),
        **{name: _dataset_probe(key_probe, name, store, section) for name, store in watched.items()},
    }

    data = short_hash(*(check_manifest(store)["content_sha256"] for store in [letters, *watched.values()]))
    # Only what was made by the same code from the same data is gone on from.
    folder = theta.parent / "state" / f"{code}-{data}"
    record = {"config": short_hash(section), "code": code, "data": data, **versions()}
    # Imported by name, and declared to the workflow's fingerprints as a root of its own.
    rule = import_module(f"rules_src.update_rules.{section.rule.module}").build(section.rule, key_rule)
    for item in shown(resumable_run(rule, training, section, probes, folder=folder, record=record), section.meta_steps):
        state = item.state

    manifest = {"spec": json.loads(spec), "code": code, "extra": {"device": jax.devices()[0].device_kind}}
    save_theta(state.average, theta, spec=section.rule.model_dump(mode="json"))
    write_manifest(theta, **manifest)
    write_zarr(run_history.read(folder / HISTORY), history, **manifest)


def _pairs(texts: list[str]) -> list[tuple[str, Path]]:
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not equals:
            raise InputError(f"--held-out: {name!r} is not NAME=STORE")
    return [(name, Path(store)) for name, _, store in pairs]


def _dataset_probe(key: jax.Array, name: str, store: Path, spec: MetaTrain) -> tuple[Probe, int]:
    dataset = read_zarr(store)
    return dataset_probe(key, *small_images(dataset, spec.tasks.side), spec), len(dataset.attrs["class_names"])


if __name__ == "__main__":
    run(train)
