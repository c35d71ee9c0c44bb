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

from metaplastic.apply import Recording, apply_rule, input_permutations, seed_keys
from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import load_inputs
from metaplastic.features import Identity, features_dataset, write_features
from metaplastic.io.errors import InputError
from metaplastic.io.storage import check_manifest, read_zarr
from metaplastic.stages.command import Code, DatasetStore, Key, Output, Spec, run
from metaplastic.training.checkpoint import saved_steps, state_path
from metaplastic.update_rules.base import UpdateRule, check_fit
from metaplastic.update_rules.spec import Apply, BaseModel, Initial, MetaTrained, Rule
from metaplastic.update_rules.theta import initial_rule, trained_rule


def apply(
    method: Key,
    rule: Spec,
    base_model_name: Key,
    base_model: Spec,
    spec: Spec,
    code: Code,
    dataset: DatasetStore,
    output: Output,
    theta: Annotated[list[Path] | None, Option(help="Theta file, or a run's snapshots for each meta-seed.")] = None,
) -> None:
    """Train base models on the dataset's unlabelled training examples with the rule."""
    section, network = parse_spec(Apply, spec), parse_spec(BaseModel, base_model, "--base-model")
    kind, thetas = parse_spec(Rule, rule, "--rule"), theta or []
    described, update_rules, meta_step = _rules(kind, thetas)
    if len(update_rules) > 1 and section.seeds_a_theta:
        section = section.model_copy(update={"seeds": section.seeds_a_theta})
    check_fit(described, network)
    stored = read_zarr(dataset)
    data = load_inputs(stored)
    train, probe = np.flatnonzero(data.train), np.flatnonzero(data.test)[: section.probe]
    begin = time.monotonic()
    recordings = [
        apply_rule(each, data.inputs, train=train, probe=probe, base_model=network, spec=section)
        for each in update_rules
    ]
    seconds = time.monotonic() - begin
    features = _features(recordings, section, stored, probe, meta_seeds=kind.trained_by is not None)
    shape = len(network.hidden), max(network.hidden, default=0), network.activation
    what = kind.kind if kind.trained else described.kind
    identity = Identity(method, what, stored.attrs["name"], base_model_name, *shape, kind.trained_by, meta_step)
    specs = {"rule": json.loads(rule), "base_model": json.loads(base_model), "apply": json.loads(spec)}
    device = jax.devices()[0].device_kind
    write_features(features, output, identity=identity, spec=specs, code=code, seconds=seconds, device=device)


def _rules(spec: Rule, thetas: Sequence[Path]) -> tuple[Initial, list[UpdateRule], int | None]:
    """Return the section that describes the rules, a rule for each theta, and after how many updates a run had it."""
    if isinstance(spec, Initial):
        return spec, [initial_rule(spec)], None
    if not thetas:
        raise InputError(f"--theta: missing; a {spec.kind} rule needs one")
    meta_step = None
    if isinstance(spec, MetaTrained):
        manifests = [check_manifest(folder) for folder in thetas]
        meta_step = int(manifests[0]["spec"]["meta_steps"]) if spec.meta_step is None else spec.meta_step
        thetas = [_snapshot(theta, meta_step) for theta in thetas]
    described, rules = zip(*map(trained_rule, thetas), strict=True)
    return described[0], list(rules), meta_step


def _snapshot(folder: Path, meta_step: int) -> Path:
    path = state_path(folder, meta_step)
    if not path.is_file():
        kept = ", ".join(map(str, saved_steps(folder))) or "none"
        raise InputError(
            f"meta_step: {meta_step} is not a snapshot of {folder}; kept: {kept}. To keep it too, move {folder.parent} "
            "away and run again"
        )
    return path


def _features(
    recordings: list[list[Recording]], spec: Apply, dataset: xr.Dataset, probe: np.ndarray, *, meta_seeds: bool
) -> xr.Dataset:
    """Gather the recordings of each theta at each inner step, with an axis for thetas if `meta_seeds`."""

    def gathered(arrays: list[list[np.ndarray]], *axes: str) -> tuple[list[str], np.ndarray]:
        values, levels = np.array([np.stack(of_theta, 1) for of_theta in arrays]), ["meta_seed", "seed", "inner_step"]
        if not meta_seeds:
            values, levels = values[0], levels[1:]
        # Of seeds that are trained one after another only the first keeps its weights and activations.
        if values.shape[levels.index("seed")] < spec.seeds:
            values = values.squeeze(levels.index("seed"))
            levels.remove("seed")
        return [*levels, *axes], values

    _, features = gathered([[at.features for at in of_theta] for of_theta in recordings], "example", "feature")
    axes, weights = gathered([[at.first_layer_weights for at in of_theta] for of_theta in recordings], "input", "unit")
    # One after another, by the program that has drawn them on a CPU.
    each_seed = (input_permutations(key[None], weights.shape[-2]) for key in seed_keys(spec.seeds))
    permutations = np.concatenate([np.asarray(permutation) for permutation in each_seed])
    variables: dict[str, tuple[Sequence[str], np.ndarray]] = {
        "first_layer_weights": (axes, weights),
        "input_permutation": (("seed", "input"), permutations),
    }
    for layer in range(len(recordings[0][0].activations)):
        activations = [[at.activations[layer] for at in of_theta] for of_theta in recordings]
        variables[f"activation_{layer + 1}"] = gathered(activations, "probe", f"unit_{layer + 1}")
    return features_dataset(features, spec.inner_steps, dataset, variables, {"probe": probe})


if __name__ == "__main__":
    run(apply)
