"""Applying a rule to a dataset: several base models at once, their features and weights at chosen inner steps."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from rules_src.base_model import BaseModel, initial_base_model
from rules_src.config import rules as config
from rules_src.config.apply import Apply
from rules_src.update_rules.base import UpdateRule


class Recording(NamedTuple):
    """What is kept of the base models at one inner step; the leading axis is the seed."""

    features: Float[np.ndarray, "seed example feature"]
    first_layer_weights: Float[np.ndarray, "seed input unit"]
    activations: list[Float[np.ndarray, "seed probe _unit"]]
    """Of every layer, on the probe examples."""


def seed_keys(seeds: int) -> Key[Array, " seed"]:
    """One key a seed: seed s is the same base model and order of examples in every study."""
    return jax.vmap(jax.random.key)(jnp.arange(seeds))


def input_permutations(seeds: int, inputs: int) -> Int[Array, "seed input"]:
    """For each seed the dataset's input that base-model input j receives."""
    return jax.vmap(lambda key: jax.random.permutation(jax.random.fold_in(key, 0), inputs))(seed_keys(seeds))


def apply_rule(
    rule: UpdateRule,
    inputs: Float[np.ndarray, "example input"],
    *,
    train: Int[np.ndarray, " train_example"],
    probe: Int[np.ndarray, " probe"],
    base_model: config.BaseModel,
    spec: Apply,
) -> list[Recording]:
    """Train base models on unlabelled examples and record them.

    Features are those of one forward pass over all examples: batch norm takes its statistics from the whole dataset,
    as the meta-objective takes them from both of its batches.

    Args:
        rule: any rule.
        inputs: all examples.
        train: indices of the examples that the rule may learn from.
        probe: indices of the examples whose activations are recorded.
        base_model: the network to train.
        spec: seeds, inner steps and batch size.

    Returns:
        One recording for each of `spec.inner_steps`.
    """
    x = jnp.asarray(inputs)
    keys = seed_keys(spec.seeds)
    permutations = input_permutations(spec.seeds, x.shape[1])
    widths = [x.shape[1], *base_model.hidden, base_model.features]
    phis = eqx.filter_vmap(lambda key: initial_base_model(jax.random.fold_in(key, 1), widths, base_model.activation))(
        keys
    )

    recordings, done = [], 0
    for stop in spec.inner_steps:
        phis = _advance(
            rule, phis, x, jnp.asarray(train), permutations, keys, (jnp.int32(done), jnp.int32(stop)), batch=spec.batch
        )
        done = stop
        features, weights, activations = _record(phis, x, jnp.asarray(probe), permutations)
        recordings.append(
            Recording(np.asarray(features), np.asarray(weights), [np.asarray(layer) for layer in activations])
        )
    return recordings


@eqx.filter_jit
def _advance(
    rule: UpdateRule,
    phis: BaseModel,
    x: Float[Array, "example input"],
    train: Int[Array, " train_example"],
    permutations: Int[Array, "seed input"],
    keys: Key[Array, " seed"],
    steps: tuple[Int[Array, ""], Int[Array, ""]],
    *,
    batch: int,
) -> BaseModel:
    """Every seed's base model after the inner steps from the first of `steps` to before the second.

    The steps are data, so that unequal gaps between recordings share one compiled program.
    """

    def one_seed(phi: BaseModel, key: Key[Array, ""], permutation: Int[Array, " input"]) -> BaseModel:
        def inner_step(step: Int[Array, ""], phi: BaseModel) -> BaseModel:
            batch_key = jax.random.fold_in(jax.random.fold_in(key, 2), step)
            examples = train[jax.random.randint(batch_key, (batch,), 0, len(train))]
            return rule.update(phi, x[examples[:, None], permutation])

        return jax.lax.fori_loop(*steps, inner_step, phi)

    return jax.vmap(one_seed)(phis, keys, permutations)


@eqx.filter_jit
def _record(
    phis: BaseModel,
    x: Float[Array, "example input"],
    probe: Int[Array, " probe"],
    permutations: Int[Array, "seed input"],
) -> tuple[Array, Array, list[Array]]:
    """Features, first-layer weights and probe activations of every seed, one seed at a time to save memory."""

    def one_seed(arguments: tuple[BaseModel, Array]) -> tuple[Array, Array, list[Array]]:
        phi, permutation = arguments
        xs = phi.forward(x[:, permutation]).xs
        return xs[-1], phi.layers[0].W, [layer[probe] for layer in xs[1:]]

    return jax.lax.map(one_seed, (phis, permutations))
