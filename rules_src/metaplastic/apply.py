"""Applying a rule to a dataset: several base models at once, their features and weights at chosen inner steps."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from metaplastic.io.memory import check_memory, numbers, size
from metaplastic.network import BaseModel, initial_base_model, layer_widths
from metaplastic.update_rules import spec as config
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Apply

SIDE_BY_SIDE = 2**27
"""Bytes of base models and their averages up to which all seeds are trained at once."""


class Recording(NamedTuple):
    """What is kept of the base models at one inner step; the leading axis is the seed.

    Of seeds that are too large to be trained at once, weights and activations are those of the first one alone.
    """

    features: Float[np.ndarray, "seed example feature"]
    first_layer_weights: Float[np.ndarray, "kept_seed input unit"]
    activations: list[Float[np.ndarray, "kept_seed probe _unit"]]
    """Of every layer, on the probe examples."""


class InnerLoops(NamedTuple):
    """Inner loops under way: base models and what makes each its own; the leading axis of every array is the seed."""

    phis: BaseModel
    averages: BaseModel
    """Of each base model over its inner steps: what is recorded and used."""
    keys: Key[Array, " seed"]
    permutations: Int[Array, "seed input"]
    """For each seed the dataset's input that base-model input j receives."""


def seed_keys(seeds: int) -> Key[Array, " seed"]:
    """One key a seed: seed s is the same base model and order of examples in every study."""
    return jax.vmap(jax.random.key)(jnp.arange(seeds))


def input_permutations(keys: Key[Array, " seed"], inputs: int) -> Int[Array, "seed input"]:
    """For each seed the dataset's input that base-model input j receives."""
    return jax.vmap(lambda key: jax.random.permutation(jax.random.fold_in(key, 0), inputs))(keys)


def initial_inner_loops(keys: Key[Array, " seed"], widths: Sequence[int], activation: str) -> InnerLoops:
    """One base model a key, before its first inner step; `widths` are of its levels, from the dataset's inputs up."""
    phis = eqx.filter_vmap(lambda key: initial_base_model(jax.random.fold_in(key, 1), widths, activation))(keys)
    return InnerLoops(phis, phis, keys, input_permutations(keys, widths[0]))


def check_size(seeds: int, inputs: int, base_model: config.BaseModel, *, batch: int, recorded: int = 0) -> None:
    """Let inner loops pass that this device has room for.

    Args:
        seeds: base models that are trained at once.
        inputs: of the dataset.
        base_model: what is trained.
        batch: examples an inner step.
        recorded: examples whose features are taken in one forward pass, which holds two layers at a time.

    Raises:
        InputError: it has not, with what they take at least.
    """
    loops = _shapes(seeds, inputs, base_model)
    widths = layer_widths(base_model, inputs)
    parts = {"base models and their averages": loops, "a batch": numbers(seeds, batch, sum(widths))}
    if recorded:
        parts["two layers of all examples"] = numbers(recorded, max(map(sum, pairwise(widths))))
    check_memory("hidden, features, batch", parts)


def _shapes(seeds: int, inputs: int, base_model: config.BaseModel) -> InnerLoops:
    widths = layer_widths(base_model, inputs)
    shapes: InnerLoops = jax.eval_shape(lambda: initial_inner_loops(seed_keys(seeds), widths, base_model.activation))
    return shapes


def apply_rule(
    rule: UpdateRule,
    inputs: Float[np.ndarray, "example input"],
    *,
    train: Int[np.ndarray, " train_example"],
    probe: Int[np.ndarray, " probe"],
    base_model: config.BaseModel,
    spec: Apply,
) -> list[Recording]:
    """Train base models on unlabelled examples and record them; large ones one after another, to save memory.

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

    Raises:
        InputError: as for `check_size`.
    """
    together = size(_shapes(spec.seeds, inputs.shape[1], base_model)) <= SIDE_BY_SIDE
    seeds = spec.seeds if together else 1
    check_size(seeds, inputs.shape[1], base_model, batch=spec.batch, recorded=len(inputs))
    x, examples, shown = jnp.asarray(inputs), jnp.asarray(train), jnp.asarray(probe)
    keys = seed_keys(spec.seeds)
    if together:
        return list(_recordings(rule, keys, x, examples, shown, base_model, spec))
    of_seeds = (_recordings(rule, key[None], x, examples, shown, base_model, spec) for key in keys)
    first = list(next(of_seeds))
    others = [[recording.features for recording in recordings] for recordings in of_seeds]
    return [
        recording._replace(features=np.concatenate([recording.features, *features]))
        for recording, *features in zip(first, *others, strict=True)
    ]


def _recordings(
    rule: UpdateRule,
    keys: Key[Array, " seed"],
    x: Float[Array, "example input"],
    train: Int[Array, " train_example"],
    probe: Int[Array, " probe"],
    base_model: config.BaseModel,
    spec: Apply,
) -> Iterator[Recording]:
    """Those of the base models of these seeds, one for each of `spec.inner_steps`."""
    loops = initial_inner_loops(keys, layer_widths(base_model, x.shape[1]), base_model.activation)
    for steps in pairwise([0, *spec.inner_steps]):
        loops = advance(rule, loops, x, train, steps=steps, batch=spec.batch, average=spec.average)
        features, weights, activations = _record(loops, x, probe)
        yield Recording(np.asarray(features), np.asarray(weights), [np.asarray(layer) for layer in activations])


def advance(
    rule: UpdateRule,
    loops: InnerLoops,
    x: Float[Array, "example input"],
    train: Int[Array, " train_example"],
    *,
    steps: tuple[int, int],
    batch: int,
    average: float,
    drawable: int | None = None,
) -> InnerLoops:
    """Take inner steps, each on a batch drawn anew, with replacement.

    Args:
        rule: any rule.
        loops: what to train.
        x: all examples.
        train: indices of the examples to draw from.
        steps: numbers of the first inner step and of the one before which to stop.
        batch: examples a step.
        average: decay a step of the base models' moving averages; 0 averages nothing.
        drawable: how many of `train`, from its start, are drawn; all by default. Arrays padded to a common size so
            share one compiled program.
    """
    # As data, so that unequal gaps between recordings share one compiled program.
    start, stop, count = map(jnp.int32, (*steps, len(train) if drawable is None else drawable))
    decay = jnp.float32(average)
    phis, averages = _advanced(rule, loops, x, train, (start, stop), count, decay, batch=batch)
    return loops._replace(phis=phis, averages=averages)


@eqx.filter_jit
def _advanced(
    rule: UpdateRule,
    loops: InnerLoops,
    x: Float[Array, "example input"],
    train: Int[Array, " train_example"],
    steps: tuple[Int[Array, ""], Int[Array, ""]],
    drawable: Int[Array, ""],
    decay: Float[Array, ""],
    *,
    batch: int,
) -> tuple[BaseModel, BaseModel]:
    def one_seed(
        phi: BaseModel, average: BaseModel, key: Key[Array, ""], permutation: Int[Array, " input"]
    ) -> tuple[BaseModel, BaseModel]:
        def inner_step(step: Int[Array, ""], both: tuple[BaseModel, BaseModel]) -> tuple[BaseModel, BaseModel]:
            phi, average = both
            batch_key = jax.random.fold_in(jax.random.fold_in(key, 2), step)
            examples = train[jax.random.randint(batch_key, (batch,), 0, drawable)]
            phi = rule.update(phi, x[examples[:, None], permutation])
            # The initial base model has no part in the average, however few the steps.
            share = (1 - decay) / (1 - decay ** (step + 1))
            return phi, optax.incremental_update(phi, average, share)

        return jax.lax.fori_loop(*steps, inner_step, (phi, average))

    if jax.default_backend() == "cpu":
        # Products of several seeds at once are slower there than one after another.
        return jax.lax.map(lambda loop: one_seed(*loop), loops)
    return jax.vmap(one_seed)(*loops)


@eqx.filter_jit
def _record(
    loops: InnerLoops, x: Float[Array, "example input"], probe: Int[Array, " probe"]
) -> tuple[Array, Array, list[Array]]:
    """Features, first-layer weights and probe activations of every seed, one seed at a time to save memory."""

    def one_seed(arguments: tuple[BaseModel, Array]) -> tuple[Array, Array, list[Array]]:
        phi, permutation = arguments
        kept = []
        for activations in phi.post_activations(x[:, permutation]):
            kept.append(activations[probe])
        return activations, phi.layers[0].W, kept

    return jax.lax.map(one_seed, (loops.averages, loops.permutations))
