"""Stage: apply a rule to a dataset and record features, first-layer weights and activations."""

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import xarray as xr
from typer import Option

from rules_src.apply import Recording, apply_rule, input_permutations, seed_keys
from rules_src.config.apply import Apply
from rules_src.config.base import parse_spec
from rules_src.config.rules import BaseModel, Initial, MetaTrained, Rule
from rules_src.datasets.arrays import load_inputs
from rules_src.errors import InputError
from rules_src.stages.command import run
from rules_src.storage import check_manifest, read_zarr, write_zarr
from rules_src.update_rules.base import UpdateRule
from rules_src.update_rules.theta import load_theta, read_spec


def apply(
    rule: Annotated[str, Option(help="The rule's section of the config, as JSON.")],
    base_model: Annotated[str, Option(help="The base model's section of the config, as JSON.")],
    spec: Annotated[str, Option(help="The section `apply` of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    dataset: Annotated[Path, Option(help="Store of the dataset.")],
    output: Annotated[Path, Option(help="Zarr store to write.")],
    theta: Annotated[Path | None, Option(help="Theta of a meta-trained rule.")] = None,
) -> None:
    """Train base models on the dataset's unlabelled training examples with the rule."""
    section = parse_spec(Apply, spec)
    data = load_inputs(read_zarr(dataset))
    test = np.flatnonzero(data.test)
    probe = test[: section.probe]
    recordings = apply_rule(
        _rule(parse_spec(Rule, rule, "--rule"), theta),
        data.inputs,
        train=np.flatnonzero(~data.test),
        probe=probe,
        base_model=parse_spec(BaseModel, base_model, "--base-model"),
        spec=section,
    )
    store = _dataset(recordings, section, probe, data.inputs.shape[1])
    specs = {"rule": json.loads(rule), "base_model": json.loads(base_model), "apply": json.loads(spec)}
    write_zarr(store, output, spec=specs, code=code, extra={"device": jax.devices()[0].device_kind})


def _rule(spec: Rule, theta: Path | None) -> UpdateRule:
    if isinstance(spec, MetaTrained):
        if theta is None:
            raise InputError("--theta: missing; a meta-trained rule needs the theta of its run")
        check_manifest(theta)
        initial = parse_spec(Initial, json.dumps(read_spec(theta)), str(theta))
    else:
        initial = spec
    # Imported by name, and declared to the workflow's fingerprint as a root of its own.
    module = import_module(f"rules_src.update_rules.{initial.module}")

    def build() -> UpdateRule:
        built: UpdateRule = module.build(initial, jax.random.key(0))
        return built

    return load_theta(theta, build) if theta else build()


def _dataset(recordings: list[Recording], spec: Apply, probe: np.ndarray, inputs: int) -> xr.Dataset:
    variables = {
        "features": (
            ("seed", "inner_step", "example", "feature"),
            np.stack([recording.features for recording in recordings], 1),
        ),
        "first_layer_weights": (
            ("seed", "inner_step", "input", "unit"),
            np.stack([recording.first_layer_weights for recording in recordings], 1),
        ),
        "input_permutation": (("seed", "input"), np.asarray(input_permutations(seed_keys(spec.seeds), inputs))),
    }
    for index, layer in enumerate(zip(*(recording.activations for recording in recordings), strict=True), start=1):
        variables[f"activation_{index}"] = (("seed", "inner_step", "probe", f"unit_{index}"), np.stack(layer, 1))
    return xr.Dataset(
        variables,
        coords={"seed": np.arange(spec.seeds), "inner_step": spec.inner_steps, "probe": probe},
    )


if __name__ == "__main__":
    run(apply)
