"""Apply a rule to a dataset: train several base models, and record their features at given inner steps."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from metaplastic.io.compilation import jit
from metaplastic.io.jax_settings import own_numbers, platform, seed_key
from metaplastic.io.memory import check_memory, single_precision, size
from metaplastic.network import BaseModel, initial_base_model
from metaplastic.perceptron import Parameters, Perceptron, slices
from metaplastic.update_rules import spec as config
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Apply

SIDE_BY_SIDE = 2**27
"""Most bytes of all base models and their averages with which accelerators train all seeds at once, and keep all
that is recorded of them."""
LARGE = 2**26
"""Number of activations of a layer on all examples beyond which they are computed for a few examples at a time."""

BaseModels = tuple[BaseModel, BaseModel]


class Recording(NamedTuple):
    """What is kept of the base models at one inner step; the leading axis is the seed.

    If the base models of all seeds exceed `SIDE_BY_SIDE`, weights and activations of the first seed alone are kept.
    """

    features: Float[np.ndarray, "seed example feature"]
    first_layer_weights: Float[np.ndarray, "kept_seed input unit"]
    activations: list[Float[np.ndarray, "kept_seed probe _unit"]]
    """Activations of every layer on the probe examples."""


class InnerLoops(NamedTuple):
    """Inner loops in progress: base models and their randomness; the leading axis of every array is the seed."""

    phis: BaseModel
    averages: BaseModel
    """Moving average of each base model over its inner steps, which is recorded and used."""
    keys: Key[Array, " seed"]
    permutations: Int[Array, "seed input"]
    """The dataset's input that base-model input j receives, for each seed."""


def seed_keys(seeds: int) -> Key[Array, " seed"]:
    """Return one key per seed: seed s gives the same base model and order of examples in every study."""
    return jax.vmap(seed_key)(jnp.arange(seeds))


@jit
def input_permutations(keys: Key[Array, " seed"], inputs: int) -> Int[Array, "seed input"]:
    """Return for each seed the dataset's input that base-model input j receives."""
    return jax.vmap(lambda key: jax.random.permutation(jax.random.fold_in(key, 0), inputs))(keys)


def initial_inner_loops(keys: Key[Array, " seed"], widths: Sequence[int], activation: str) -> InnerLoops:
    """Draw one base model per key; `widths` are those of its layers, from the dataset's inputs up."""
    phis = _initial_base_models(keys, widths, activation)
    return InnerLoops(phis, phis, keys, input_permutations(keys, widths[0]))


@jit
def _initial_base_models(keys: Key[Array, " seed"], widths: Sequence[int], activation: str) -> BaseModel:
    drawn = eqx.filter_vmap(lambda key: initial_base_model(jax.random.fold_in(key, 1), widths, activation))(keys)
    return cast(BaseModel, drawn)


def check_size(seeds: int, inputs: int, base_model: config.BaseModel, *, batch: int) -> None:
    """Raise InputError if `seeds` inner loops at once surely need more memory than this device has.

    Inner steps take `batch` examples each.
    """
    widths = base_model.widths(inputs)
    loops = _shapes(seeds, inputs, base_model)
    parts = {"base models and their averages": loops, "a batch": single_precision(seeds, batch, sum(widths))}
    check_memory("hidden, features, batch", parts)


def _shapes(seeds: int, inputs: int, base_model: config.BaseModel) -> InnerLoops:
    widths = base_model.widths(inputs)
    shapes: InnerLoops = jax.eval_shape(lambda: initial_inner_loops(seed_keys(seeds), widths, base_model.activation))
    return shapes


@own_numbers()
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

    Features come from one forward pass over all examples: batch norm takes its statistics from the whole dataset, as
    the meta-objective takes them from both of its batches.

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
    # On a CPU, where seeds are trained one after another in any case, one program serves any number of them.
    at_once = spec.seeds if together and platform() != "cpu" else 1
    check_size(at_once, inputs.shape[1], base_model, batch=spec.batch)
    x, examples, shown, keys = jnp.asarray(inputs), jnp.asarray(train), jnp.asarray(probe), seed_keys(spec.seeds)

    def recordings(keys: Key[Array, " seed"]) -> Iterator[Recording]:
        loops = initial_inner_loops(keys, base_model.widths(x.shape[1]), base_model.activation)
        for steps in pairwise([0, *spec.inner_steps]):
            loops = advance(rule, loops, x, examples, steps=steps, batch=spec.batch, average=spec.average)
            if len(x) * max(base_model.widths(0)) > LARGE:
                yield _recorded_in_parts(loops, inputs, probe, base_model.activation)
                continue
            features, weights, activations = _record(loops, x, shown)
            yield Recording(np.asarray(features), np.asarray(weights), [np.asarray(layer) for layer in activations])

    groups = [list(recordings(keys[first : first + at_once])) for first in range(0, spec.seeds, at_once)]
    of_steps: list[Recording] = []
    for step in zip(*groups, strict=True):
        kept = step if together else step[:1]
        activations = [np.concatenate(layers) for layers in zip(*(each.activations for each in kept), strict=True)]
        weights = np.concatenate([each.first_layer_weights for each in kept])
        of_steps.append(Recording(np.concatenate([each.features for each in step]), weights, activations))
    return of_steps


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
    """Take inner steps, each on a new batch of the examples of `x` that `train` numbers, drawn with replacement.

    The first inner step and the one before which to stop are `steps`; `average` is the decay per step of the base
    models' moving averages, 0 for none. Only the first `drawable` of `train` are drawn, all by default: with it, arrays
    that are padded to one size share one compiled program.
    """
    # Traced, so that unequal gaps between recordings share one compiled program.
    counts = map(jnp.int32, (*steps, len(train) if drawable is None else drawable))
    phis, averages = _advanced(rule, loops, x, train, (*counts, jnp.float32(average)), batch)
    return loops._replace(phis=phis, averages=averages)


@jit
def _advanced(
    rule: UpdateRule, loops: InnerLoops, x: Array, train: Array, traced: tuple[Array, ...], batch: int
) -> BaseModels:
    start, stop, drawable, decay = traced

    def one_seed(phi: BaseModel, average: BaseModel, key: Array, permutation: Array) -> BaseModels:
        def inner_step(step: Int[Array, ""], both: BaseModels) -> BaseModels:
            phi, average = both
            examples = train[drawn(key, step, drawable, batch)]
            phi = rule.update(phi, x[examples[:, None], permutation])
            # This share keeps the initial base model out of the average, even after few steps.
            share = (1 - decay) / (1 - decay ** (step + 1))
            return phi, jax.tree.map(lambda new, old: share * new + (1 - share) * old, phi, average)

        return jax.lax.fori_loop(start, stop, inner_step, (phi, average))

    # On a CPU, products of several seeds at once are slower than one after another.
    one_by_one = platform() == "cpu"
    return jax.lax.map(lambda loop: one_seed(*loop), loops) if one_by_one else jax.vmap(one_seed)(*loops)


def drawn(key: Array, step: Array, drawable: Array, batch: int) -> Int[Array, " batch"]:
    """Return which of `drawable` examples an inner step takes."""
    return jax.random.randint(jax.random.fold_in(jax.random.fold_in(key, 2), step), (batch,), 0, drawable)


@jit
def _record(loops: InnerLoops, x: Array, probe: Array) -> tuple[Array, Array, list[Array]]:
    """Return features, first-layer weights and probe activations of every seed, one seed at a time to save memory."""

    def one_seed(arguments: tuple[BaseModel, Array]) -> tuple[Array, Array, list[Array]]:
        phi, permutation = arguments
        layers = phi.forward(x[:, permutation]).xs[1:]
        return layers[-1], phi.layers[0].W, [activations[probe] for activations in layers]

    return jax.lax.map(one_seed, (loops.averages, loops.permutations))


def _recorded_in_parts(loops: InnerLoops, inputs: np.ndarray, probe: np.ndarray, activation: str) -> Recording:
    """Record as `_record` does, a few examples at a time, since layers of all of them would not fit in memory."""
    features, activations = [], []
    for seed in range(len(loops.permutations)):
        layers = trained_layers(loops, seed)
        parts = slices(len(inputs), [inputs.shape[1], *(len(layer.b) for layer in layers)])
        model = Perceptron(layers, (), activation).with_statistics(lambda: (inputs[rows] for rows in parts))  # noqa: B023
        features.append(np.concatenate([model.features(inputs[rows]) for rows in parts]))
        below = [Perceptron(layers[:depth], model.statistics, activation) for depth in range(1, len(layers) + 1)]
        activations.append([each.features(inputs[probe]) for each in below])
    kept = [np.stack(of_layer) for of_layer in zip(*activations, strict=True)]
    return Recording(np.stack(features), np.asarray(loops.averages.layers[0].W), kept)


def trained_layers(loops: InnerLoops, seed: int) -> tuple[Parameters, ...]:
    """Return the averaged base model of a seed in NumPy, its inputs in the order of the dataset's."""
    phi, permutation = jax.tree.map(lambda leaf: np.asarray(leaf[seed]), (loops.averages, loops.permutations))
    # Its input j was column `permutation[j]`.
    order = np.argsort(permutation)
    first, *others = (Parameters(*layer) for layer in phi.layers)
    return (first._replace(W=first.W[order], V=first.V[order]), *others)
