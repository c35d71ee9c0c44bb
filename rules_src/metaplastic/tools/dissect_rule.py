"""Measure what each term of a learned rule's weight change is worth, and how far weights move; run by hand."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float
from typer import Argument, Option

from metaplastic.apply import advance, apply_rule, initial_inner_loops, seed_keys
from metaplastic.datasets.arrays import Inputs, load_inputs
from metaplastic.few_shot.readout_accuracy import evaluate
from metaplastic.few_shot.spec import FewShot
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_zarr, write_netcdf
from metaplastic.results.intervals import paired, score
from metaplastic.results.selections import TABLE_READOUT
from metaplastic.stages.command import run
from metaplastic.update_rules.neuron_local import NeuronLocalRule
from metaplastic.update_rules.pretrained import pretrained_file
from metaplastic.update_rules.spec import Apply, BaseModel
from metaplastic.update_rules.terms import TERMS
from metaplastic.update_rules.theta import trained_rule

SHAPE = {"hidden": [64]}
"""The base model."""
STEPS = [1, 3, 10, 30, 100, 300, 1000]
"""Inner steps after which the size of a change is measured."""


def dissect(
    rule: Annotated[str, Argument(help="Name of a rule that comes with the project.")],
    data: Annotated[Path, Option(help="Store of the dataset to learn from and to be tested on.")],
    output: Annotated[Path, Option(help="netCDF file to write.")],
    activations: Annotated[list[str], Option(help="Activation of the base model; repeatable.")],
    seeds: Annotated[int, Option(help="Base models of each activation.")] = 5,
    alone: Annotated[list[str] | None, Option(help="Term to keep while all others are dropped; repeatable.")] = None,
    inner_steps: Annotated[int, Option(help="Inner steps before accuracy is measured.")] = 200,
) -> None:
    """Write the accuracy with 10 labels a class without each term in turn, and relative changes of the weights.

    The last of these, if terms are kept `alone`, is without all the others.
    """
    if unknown := set(alone or ()) - set(TERMS):
        raise InputError(f"--alone: no term {', '.join(sorted(unknown))}; valid: {', '.join(TERMS)}")
    dropped: dict[str, Collection[str]] = {term: [term] for term in TERMS}
    if alone:
        dropped[f"all but {', '.join(alone)}"] = set(TERMS) - set(alone)
    theta, inputs = trained_rule(pretrained_file(rule))[1], load_inputs(read_zarr(data))
    parts = [_of_activation(theta, dropped, inputs, activation, seeds, inner_steps) for activation in activations]
    found = xr.concat(parts, "activation").assign_coords(activation=np.array(activations, dtype=object))
    write_netcdf(found.assign_attrs(rule=rule, seeds=seeds, inner_steps=inner_steps), output)


def without(rule: NeuronLocalRule, terms: Collection[str]) -> NeuronLocalRule:
    """Return the rule without some of `TERMS` in the changes of weights."""
    kept = jnp.array([term not in terms for term in TERMS])
    coefficients = jnp.where(kept, rule.forward.mix.coefficients, 0.0)
    return eqx.tree_at(lambda of: of.forward.mix.coefficients, rule, coefficients)


def _of_activation(
    rule: NeuronLocalRule,
    dropped: Mapping[str, Collection[str]],
    data: Inputs,
    activation: str,
    seeds: int,
    inner_steps: int,
) -> xr.Dataset:
    shape = BaseModel.model_validate(SHAPE | {"activation": activation})
    whole = _accuracies(rule, data, shape, seeds, inner_steps)
    less = [_accuracies(without(rule, terms), data, shape, seeds, inner_steps) for terms in dropped.values()]
    differences = [paired(accuracies, whole) for accuracies in less]
    change = relative_changes(rule, data, shape, seeds)
    units = {"units": "1"}
    return xr.Dataset(
        {
            "accuracy": ((), score(whole)["mean"].item(), units),
            "difference": ("term", np.array([each.mean for each in differences]), units),
            "interval": ("term", np.array([(each.high - each.low) / 2 for each in differences]), units),
            "change": (("inner_step", "layer"), change, units | {"long_name": "norm of one change over that of W"}),
        },
        coords={
            "term": np.array(list(dropped), dtype=object),
            "inner_step": STEPS,
            "layer": np.arange(change.shape[1]) + 1,
        },
    )


def _accuracies(rule: NeuronLocalRule, data: Inputs, shape: BaseModel, seeds: int, inner_steps: int) -> xr.DataArray:
    train, probe = np.flatnonzero(data.train), np.flatnonzero(data.test)[:1]
    spec = Apply(seeds=seeds, inner_steps=[inner_steps])
    (recorded,) = apply_rule(rule, data.inputs, train=train, probe=probe, base_model=shape, spec=spec)
    features = xr.DataArray(recorded.features[:, None], dims=("seed", "inner_step", "example", "feature"))
    return evaluate(features, data, FewShot(shots=[10]))["accuracy"].sel(readout=TABLE_READOUT).isel(shots=0, drop=True)


def relative_changes(
    rule: NeuronLocalRule, data: Inputs, shape: BaseModel, seeds: int
) -> Float[np.ndarray, "inner_step layer"]:
    """Return the norm of one inner step's change of W over that of W, after each of `STEPS`, as means over seeds."""
    widths = shape.widths(data.inputs.shape[1])
    loops = initial_inner_loops(seed_keys(seeds), widths, shape.activation)
    x, train, done, found = jnp.asarray(data.inputs), jnp.asarray(np.flatnonzero(data.train)), 0, []
    for step in STEPS:
        before = advance(rule, loops, x, train, steps=(done, step), batch=Apply().batch, average=0.0)
        loops = advance(rule, before, x, train, steps=(step, step + 1), batch=Apply().batch, average=0.0)
        pairs = zip(before.phis.layers, loops.phis.layers, strict=True)
        norms = [
            (jnp.linalg.norm(new.W - old.W, axis=(1, 2)), jnp.linalg.norm(old.W, axis=(1, 2))) for old, new in pairs
        ]
        found.append([float((moved / size).mean()) for moved, size in norms])
        done = step + 1
    return np.array(found)


if __name__ == "__main__":
    run(dissect)
