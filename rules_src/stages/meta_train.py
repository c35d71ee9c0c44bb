"""Stage: meta-train a rule on rendered characters."""

import json
import sys
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import xarray as xr
from tqdm import tqdm
from typer import Option

from rules_src.config.base import parse_spec
from rules_src.config.meta_train import MetaTrain
from rules_src.errors import InputError
from rules_src.meta_train.data import glyphs, small_images
from rules_src.meta_train.held_out import Probe, dataset_probe, letters_probe
from rules_src.meta_train.trainer import Progress, meta_train
from rules_src.stages.command import run
from rules_src.storage import read_zarr, write_manifest, write_zarr
from rules_src.update_rules.compact import build
from rules_src.update_rules.theta import save_theta


def train(
    spec: Annotated[str, Option(help="The run's section of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    letters: Annotated[Path, Option(help="Store of the letters that tasks are made of.")],
    theta: Annotated[Path, Option(help="Safetensors file to write.")],
    history: Annotated[Path, Option(help="Zarr store to write.")],
    held_out: Annotated[list[str] | None, Option(help="NAME=STORE of a dataset to watch.")] = None,
) -> None:
    """Meta-train the rule of `spec`; write its theta and the history of the run."""
    section = parse_spec(MetaTrain, spec)
    letters_dataset = read_zarr(letters)
    training = glyphs(letters_dataset, section.tasks, held_out=False)
    key = jax.random.fold_in(jax.random.key(section.seed), 1)
    key_rule, key_probe = jax.random.split(key)

    probes = {
        "letters": (letters_probe(key_probe, training, section), section.tasks.classes),
        "held-out letters": (
            letters_probe(key_probe, glyphs(letters_dataset, section.tasks, held_out=True), section),
            section.tasks.classes,
        ),
        **{name: _dataset_probe(key_probe, name, store, section) for name, store in _pairs(held_out or [])},
    }

    items = []
    with tqdm(total=section.meta_steps, unit="meta-step", file=sys.stderr, mininterval=1.0) as bar:
        for item in meta_train(build(section.rule, key_rule), training, section, probes):
            items.append(item)
            bar.update(len(item.metrics.meta_loss))
            bar.set_postfix_str(_summary(item))

    record = {"spec": json.loads(spec), "code": code, "extra": {"device": jax.devices()[0].device_kind}}
    save_theta(items[-1].state.rule, theta, spec=section.rule.model_dump(mode="json"))
    write_manifest(theta, **record)
    write_zarr(_history(items, section), history, **record)


def _pairs(texts: list[str]) -> list[tuple[str, Path]]:
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not equals:
            raise InputError(f"--held-out: {name!r} is not NAME=STORE")
    return [(name, Path(store)) for name, _, store in pairs]


def _dataset_probe(key: jax.Array, name: str, store: Path, spec: MetaTrain) -> tuple[Probe, int]:
    dataset = read_zarr(store)
    return dataset_probe(key, *small_images(dataset, spec.tasks.side), spec), len(dataset.attrs["class_names"])


def _summary(item: Progress) -> str:
    accuracy = ", ".join(f"{name} {values.mean():.1%}" for name, values in item.held_out.items())
    loss = item.metrics.meta_loss
    return f"meta-loss {loss.mean():.3f}, {accuracy}" if loss.size else accuracy


def _history(items: list[Progress], spec: MetaTrain) -> xr.Dataset:
    """The run as arrays: metrics of every meta-step, held-out accuracy of every measurement."""
    metrics = [np.concatenate([np.asarray(m) for m in part]) for part in zip(*(i.metrics for i in items), strict=True)]
    names = list(items[0].held_out)
    accuracy = np.stack([[item.held_out[name] for item in items] for name in names])
    units = {"units": "1"}
    return xr.Dataset(
        {
            "meta_loss": ("meta_step", metrics[0]),
            "gradient_norm": ("meta_step", metrics[1]),
            "inner_rate": ("meta_step", metrics[2]),
            "held_out_accuracy": (("dataset", "evaluation"), accuracy.mean(-1), units),
            "held_out_sem": (
                ("dataset", "evaluation"),
                accuracy.std(-1, ddof=1 if accuracy.shape[-1] > 1 else 0) * accuracy.shape[-1] ** -0.5,
                units,
            ),
        },
        coords={
            "meta_step": np.arange(1, spec.meta_steps + 1),
            "dataset": np.array(names, dtype=object),
            "evaluation_step": ("evaluation", np.cumsum([len(item.metrics.meta_loss) for item in items])),
        },
        attrs={"inner_steps": spec.held_out.inner_steps, "labelled_per_class": spec.labelled},
    )


if __name__ == "__main__":
    run(train)
