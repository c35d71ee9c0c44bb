"""Stage: apply a rule to a dataset and record features, first-layer weights and activations."""

import json
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import xarray as xr
from typer import Option

from rules_src.apply import Recording, apply_rule, input_permutations, seed_keys
from rules_src.config.apply import Apply
from rules_src.config.base import parse_spec
from rules_src.config.rules import BaseModel, Initial, MetaTrained, Pretrained, Rule, check_fit
from rules_src.datasets.arrays import load_inputs
from rules_src.errors import InputError
from rules_src.stages.command import run
from rules_src.storage import check_manifest, read_zarr, write_zarr
from rules_src.update_rules.base import UpdateRule
from rules_src.update_rules.theta import initial_rule, trained_rule


def apply(
    rule: Annotated[str, Option(help="The rule's section of the config, as JSON.")],
    base_model: Annotated[str, Option(help="The base model's section of the config, as JSON.")],
    spec: Annotated[str, Option(help="The section `apply` of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    dataset: Annotated[Path, Option(help="Store of the dataset.")],
    output: Annotated[Path, Option(help="Zarr store to write.")],
    theta: Annotated[Path | None, Option(help="Theta of a meta-trained or pretrained rule.")] = None,
) -> None:
    """Train base models on the dataset's unlabelled training examples with the rule."""
    section = parse_spec(Apply, spec)
    network = parse_spec(BaseModel, base_model, "--base-model")
    described, update_rule = _rule(parse_spec(Rule, rule, "--rule"), theta)
    check_fit(described, network)
    data = load_inputs(read_zarr(dataset))
    test = np.flatnonzero(data.test)
    probe = test[: section.probe]
    recordings = apply_rule(
        update_rule,
        data.inputs,
        train=np.flatnonzero(~data.test),
        probe=probe,
        base_model=network,
        spec=section,
    )
    store = _dataset(recordings, section, probe, data.inputs.shape[1])
    specs = {"rule": json.loads(rule), "base_model": json.loads(base_model), "apply": json.loads(spec)}
    write_zarr(store, output, spec=specs, code=code, extra={"device": jax.devices()[0].device_kind})


def _rule(spec: Rule, theta: Path | None) -> tuple[Initial, UpdateRule]:
    if not isinstance(spec, MetaTrained | Pretrained):
        return spec, initial_rule(spec)
    if theta is None:
        raise InputError(f"--theta: missing; a {spec.kind} rule needs one")
    if isinstance(spec, MetaTrained):
        check_manifest(theta)
    return trained_rule(theta)


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
