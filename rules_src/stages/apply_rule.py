"""Stage: apply a rule to a dataset and record features, first-layer weights and activations."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import xarray as xr
from typer import Option

from rules_src.apply import Recording, apply_rule, input_permutations, seed_keys
from rules_src.config.apply import Apply
from rules_src.config.base import parse_spec
from rules_src.config.rules import BaseModel, Initial, MetaTrained, Pretrained, Rule
from rules_src.datasets.arrays import load_inputs
from rules_src.errors import InputError
from rules_src.features import Identity, features_dataset, write_features
from rules_src.stages.command import run
from rules_src.storage import check_manifest, read_zarr
from rules_src.training.state import saved_steps, state_path
from rules_src.update_rules.base import UpdateRule, check_fit
from rules_src.update_rules.theta import initial_rule, trained_rule


def apply(
    method: Annotated[str, Option(help="Key of the rule in the config.")],
    rule: Annotated[str, Option(help="The rule's section of the config, as JSON.")],
    base_model_name: Annotated[str, Option(help="Key of the base model in the config.")],
    base_model: Annotated[str, Option(help="The base model's section of the config, as JSON.")],
    spec: Annotated[str, Option(help="The section `apply` of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    dataset: Annotated[Path, Option(help="Store of the dataset.")],
    output: Annotated[Path, Option(help="Zarr store to write.")],
    theta: Annotated[
        Path | None, Option(help="Theta of a meta-trained or pretrained rule, or a run's folder of snapshots.")
    ] = None,
) -> None:
    """Train base models on the dataset's unlabelled training examples with the rule."""
    section = parse_spec(Apply, spec)
    network = parse_spec(BaseModel, base_model, "--base-model")
    kind = parse_spec(Rule, rule, "--rule")
    described, update_rule = _rule(kind, theta)
    check_fit(described, network)
    stored = read_zarr(dataset)
    data = load_inputs(stored)
    probe = np.flatnonzero(data.test)[: section.probe]
    begin = time.monotonic()
    recordings = apply_rule(
        update_rule,
        data.inputs,
        train=np.flatnonzero(data.train),
        probe=probe,
        base_model=network,
        spec=section,
    )
    seconds = time.monotonic() - begin
    features = _dataset(recordings, section, probe, data.inputs.shape[1])
    identity = Identity(method, kind.kind, stored.attrs["name"], base_model_name)
    specs = {"rule": json.loads(rule), "base_model": json.loads(base_model), "apply": json.loads(spec)}
    device = jax.devices()[0].device_kind
    write_features(features, output, identity=identity, spec=specs, code=code, seconds=seconds, device=device)


def _rule(spec: Rule, theta: Path | None) -> tuple[Initial, UpdateRule]:
    if not isinstance(spec, MetaTrained | Pretrained):
        return spec, initial_rule(spec)
    if theta is None:
        raise InputError(f"--theta: missing; a {spec.kind} rule needs one")
    if isinstance(spec, MetaTrained):
        check_manifest(theta)
        if spec.meta_step is not None:
            theta = _snapshot(theta, spec.meta_step)
    return trained_rule(theta)


def _snapshot(folder: Path, meta_step: int) -> Path:
    path = state_path(folder, meta_step)
    if not path.is_file():
        kept = ", ".join(map(str, saved_steps(folder))) or "none"
        raise InputError(f"meta_step: {meta_step} is no snapshot of {folder}; kept: {kept}")
    return path


def _dataset(recordings: list[Recording], spec: Apply, probe: np.ndarray, inputs: int) -> xr.Dataset:
    variables: dict[str, tuple[Sequence[str], np.ndarray]] = {
        "first_layer_weights": (
            ("seed", "inner_step", "input", "unit"),
            np.stack([recording.first_layer_weights for recording in recordings], 1),
        ),
        "input_permutation": (("seed", "input"), np.asarray(input_permutations(seed_keys(spec.seeds), inputs))),
    }
    for index, layer in enumerate(zip(*(recording.activations for recording in recordings), strict=True), start=1):
        variables[f"activation_{index}"] = (("seed", "inner_step", "probe", f"unit_{index}"), np.stack(layer, 1))
    features = np.stack([recording.features for recording in recordings], 1)
    return features_dataset(features, spec.inner_steps, variables, {"probe": probe})


if __name__ == "__main__":
    run(apply)
