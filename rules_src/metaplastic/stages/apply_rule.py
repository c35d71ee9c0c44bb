"""Stage: apply a rule to a dataset and record features, first-layer weights and activations."""

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import xarray as xr
from typer import Option

from metaplastic.apply import Recording, apply_rule, input_permutations, seed_keys
from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import load_inputs
from metaplastic.features import Identity, features_dataset, write_features
from metaplastic.io.errors import InputError
from metaplastic.io.storage import check_manifest, read_zarr
from metaplastic.stages.command import run
from metaplastic.training.checkpoint import saved_steps, state_path
from metaplastic.update_rules.base import UpdateRule, check_fit
from metaplastic.update_rules.spec import Apply, BaseModel, Initial, MetaTrained, Rule, Untrained
from metaplastic.update_rules.theta import initial_rule, trained_rule, untrained_rules


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
        list[Path] | None,
        Option(help="Theta file of a pretrained rule, or a run's folder of snapshots for each meta-seed."),
    ] = None,
) -> None:
    """Train base models on the dataset's unlabelled training examples with the rule."""
    section = parse_spec(Apply, spec)
    network = parse_spec(BaseModel, base_model, "--base-model")
    kind = parse_spec(Rule, rule, "--rule")
    described, update_rules = _rules(kind, theta or [])
    if len(update_rules) > 1 and section.seeds_a_theta:
        section = section.model_copy(update={"seeds": section.seeds_a_theta})
    check_fit(described, network)
    stored = read_zarr(dataset)
    data = load_inputs(stored)
    probe = np.flatnonzero(data.test)[: section.probe]
    begin = time.monotonic()
    recordings = [
        apply_rule(
            update_rule,
            data.inputs,
            train=np.flatnonzero(data.train),
            probe=probe,
            base_model=network,
            spec=section,
        )
        for update_rule in update_rules
    ]
    seconds = time.monotonic() - begin
    meta_seeds = isinstance(kind, MetaTrained | Untrained)
    features = _dataset(recordings, section, probe, data.inputs.shape[1], meta_seeds=meta_seeds)
    # A run's first snapshot is the rule before meta-training.
    untrained = isinstance(kind, Untrained) or (isinstance(kind, MetaTrained) and kind.meta_step == 0)
    what = described.kind if untrained else kind.kind
    shape = len(network.hidden), max(network.hidden, default=0), network.activation
    identity = Identity(method, what, stored.attrs["name"], base_model_name, *shape)
    if isinstance(kind, MetaTrained):
        identity = identity._replace(run=kind.run, meta_step=_meta_step(kind, theta or []))
    specs = {"rule": json.loads(rule), "base_model": json.loads(base_model), "apply": json.loads(spec)}
    device = jax.devices()[0].device_kind
    write_features(features, output, identity=identity, spec=specs, code=code, seconds=seconds, device=device)


def _rules(spec: Rule, thetas: Sequence[Path]) -> tuple[Initial, list[UpdateRule]]:
    """What the rules are, and each of them."""
    if isinstance(spec, Untrained):
        return spec.rule, untrained_rules(spec)
    if isinstance(spec, Initial):
        return spec, [initial_rule(spec)]
    if not thetas:
        raise InputError(f"--theta: missing; a {spec.kind} rule needs one")
    if isinstance(spec, MetaTrained):
        for theta in thetas:
            check_manifest(theta)
        meta_step = _meta_step(spec, thetas)
        thetas = [_snapshot(theta, meta_step) for theta in thetas]
    described, rules = zip(*map(trained_rule, thetas), strict=True)
    return described[0], list(rules)


def _meta_step(spec: MetaTrained, thetas: Sequence[Path]) -> int:
    """Updates of theta: those asked for, or all of the run."""
    return int(check_manifest(thetas[0])["spec"]["meta_steps"]) if spec.meta_step is None else spec.meta_step


def _snapshot(folder: Path, meta_step: int) -> Path:
    path = state_path(folder, meta_step)
    if not path.is_file():
        kept = ", ".join(map(str, saved_steps(folder))) or "none"
        raise InputError(f"meta_step: {meta_step} is no snapshot of {folder}; kept: {kept}")
    return path


def _dataset(
    recordings: list[list[Recording]], spec: Apply, probe: np.ndarray, inputs: int, *, meta_seeds: bool
) -> xr.Dataset:
    """The recordings of each theta at each inner step, with an axis for thetas where `meta_seeds`."""

    def stacked(part: Callable[[Recording], np.ndarray]) -> np.ndarray:
        arrays = np.array([np.stack([part(recording) for recording in of_theta], 1) for of_theta in recordings])
        return arrays if meta_seeds else arrays[0]

    weights = stacked(attrgetter("first_layer_weights"))
    axes = (*(["meta_seed"] if meta_seeds else []), "seed", "inner_step")
    of_first = weights.shape[len(axes) - 2] < spec.seeds
    if of_first:
        axes = tuple(axis for axis in axes if axis != "seed")

    def kept(values: np.ndarray) -> np.ndarray:
        return values.squeeze(len(axes) - 1) if of_first else values

    variables: dict[str, tuple[Sequence[str], np.ndarray]] = {
        "first_layer_weights": ((*axes, "input", "unit"), kept(weights)),
        "input_permutation": (("seed", "input"), np.asarray(input_permutations(seed_keys(spec.seeds), inputs))),
    }
    for number in range(1, 1 + len(recordings[0][0].activations)):
        layer = stacked(partial(_activation, number=number))
        variables[f"activation_{number}"] = ((*axes, "probe", f"unit_{number}"), kept(layer))
    return features_dataset(stacked(attrgetter("features")), spec.inner_steps, variables, {"probe": probe})


def _activation(recording: Recording, *, number: int) -> np.ndarray:
    return recording.activations[number - 1]


if __name__ == "__main__":
    run(apply)
