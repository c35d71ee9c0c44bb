"""How a `LearnedRule` learns from rows: the part of it that needs JAX."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from metaplastic.apply import advance, check_size, drawn, initial_inner_loops, trained_layers
from metaplastic.io.compilation import jit
from metaplastic.io.jax_settings import compilations_kept, own_numbers, seed_key
from metaplastic.learned_rule.fitted import FittedRule, dense
from metaplastic.perceptron import Parameters, Perceptron
from metaplastic.update_rules.base import UpdateRule, check_fit
from metaplastic.update_rules.pretrained import pretrained_file
from metaplastic.update_rules.spec import BaseModel
from metaplastic.update_rules.theta import trained_rule

CHUNK = 256
"""Rows to multiples of which arrays are padded, so that other numbers of rows compile nothing."""
MOST_ROWS, MOST_NUMBERS = 2**14, 2**26
"""Rows, and numbers in them, that are on the device at once."""
POINTS = 10
"""Points of the curve of `verbose=2`."""
PROBE = 256
"""Most rows that it is measured on."""

Layers = Callable[[], tuple[Parameters, ...]]


def learned(fitted: FittedRule, X: Any, base_model: BaseModel, *, seed: int) -> Perceptron:
    """Return a base model that has learned from the rows of `X`, with the statistics of all of them.

    Args:
        fitted: how to scale, and the parameters; its own base model is not looked at.
        X: numbers [row, column], dense or CSR.
        base_model: the network to train.
        seed: below 2^32.

    Raises:
        ValueError: there is no such device, or the rule leaves weights that are not finite.
        InputError: as for `LearnedRule.fit`.
    """
    told, parameters, (count, columns) = _Told(fitted.parameters["verbose"]), fitted.parameters, X.shape
    name, batch, steps = parameters["rule"], parameters["batch"], parameters["inner_steps"]
    parts = fitted.parts(X, base_model.widths(columns)[1:])
    with own_numbers(parameters["device"]), compilations_kept():
        spec, rule = trained_rule(Path(name) if name.endswith(".safetensors") else pretrained_file(name))
        check_fit(spec, base_model)
        check_size(1, columns, base_model, batch=batch)
        run = inner_loop(
            rule,
            seed,
            lambda rows: dense(fitted.scaled(X[rows])),
            X.shape,
            base_model=base_model,
            steps=steps,
            batch=batch,
            average=parameters["average"],
            pieces=POINTS if told.curve else 1,
        )
        with told.step(f"compiling the rule for {columns} columns"):
            _, layers = next(run)
        with told.step(f"{steps} inner steps on batches of {batch} of {count} rows"):
            layers = told.followed(run, layers, base_model.activation, fitted.scaled(X[:PROBE]))
            perceptron = Perceptron(layers(), (), base_model.activation)
            perceptron = perceptron.with_statistics(lambda: (fitted.scaled(X[rows]) for rows in parts))
    if not all(np.isfinite(array).all() for array in chain(*perceptron.layers, *perceptron.statistics)):
        raise ValueError(f"rule {name!r} left weights that are not finite; scale X, or take fewer inner_steps.")
    return perceptron


class _Told:
    """What `verbose` asks to print."""

    def __init__(self, verbose: int) -> None:
        self.verbose, self.curve = verbose, verbose > 1

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        start, words = time.perf_counter(), f"[LearnedRule] {doing} ..."
        # The curve has lines of its own in between.
        at_once = words if self.verbose == 1 else ""
        if at_once:
            print(at_once, end="", flush=True)
        yield
        if self.verbose:
            print(f"{words.removeprefix(at_once)} {time.perf_counter() - start:.1f} s", flush=True)

    def followed(self, run: Iterator[tuple[int, Layers]], layers: Layers, activation: str, probe: Any) -> Layers:
        """Run to the end and return the last layers; for a curve, print how much features of `probe` change."""

        def features(layers: Layers) -> np.ndarray:
            return Perceptron(layers(), (), activation).with_statistics(lambda: [probe]).features(probe)

        before = features(layers) if self.curve else None
        for step, layers in run:
            if before is not None:
                after = features(layers)
                change = np.sqrt(np.mean((after - before) ** 2))
                print(f"[LearnedRule] inner step {step}: features changed by {change:.4f}", flush=True)
                before = after
        return layers


def inner_loop(
    rule: UpdateRule,
    seed: int,
    rows: Callable[[Int[np.ndarray, " row"]], Float[np.ndarray, "row input"]],
    shape: tuple[int, int],
    *,
    base_model: BaseModel,
    steps: int,
    batch: int,
    average: float,
    pieces: int = 1,
) -> Iterator[tuple[int, Layers]]:
    """Train one base model on unlabelled rows; yield the inner steps so far and a function that returns its layers.

    The first time is after no step, when the rule is compiled. The layers are in NumPy, their inputs in the order of
    columns. The result is that of the same seed in `apply_rule`.

    Args:
        rule: any rule.
        seed: below 2^32.
        rows: returns the rows of these indices, which rise. Only what is drawn is asked for, never more than
            `MOST_ROWS` or `MOST_NUMBERS` at once, so that it need not all be in memory or dense.
        shape: number of rows and of columns.
        base_model: the network to train.
        steps: inner steps to take.
        batch: rows of each.
        average: decay per step of the base model's moving average, which is what is yielded.
        pieces: the number of parts of `steps` after which to yield; there are more if rows do not fit at once.
    """
    count, columns = shape
    key = seed_key(seed)
    loops = initial_inner_loops(key[None], tuple(base_model.widths(columns)), base_model.activation)
    at_once = max(batch, min(MOST_ROWS, MOST_NUMBERS // columns))
    whole = count <= at_once
    # The sizes of arrays depend on neither seed nor steps, and little on the rows, so that few programs are compiled.
    x = np.zeros((count + -count % CHUNK if whole else at_once, columns), np.float32)
    places = np.arange(len(x)) if whole else np.zeros(1 << (count - 1).bit_length(), int)
    if whole:
        x[:count] = rows(np.arange(count))
    span = steps if whole else at_once // batch
    stops = {0, *np.linspace(0, steps, pieces + 1).astype(int).tolist(), *range(0, steps, max(1, span))}
    shown, train = jnp.array(x), jnp.array(places, jnp.int32)
    for start, stop in pairwise([0, *sorted(stops)]):
        if not whole:
            indices = _all_drawn(key, jnp.int32(start), jnp.int32(count), span, batch)[: stop - start]
            taken = np.unique(indices)
            x[: len(taken)], places[taken] = rows(taken), np.arange(len(taken))
            shown, train = jnp.array(x), jnp.array(places, jnp.int32)
        loops = advance(rule, loops, shown, train, steps=(start, stop), batch=batch, average=average, drawable=count)
        loops = jax.block_until_ready(loops)  # type: ignore[no-untyped-call]
        yield stop, partial(trained_layers, loops, 0)


@jit
def _all_drawn(key: Array, first: Array, drawable: Array, steps: int, batch: int) -> Int[Array, "step batch"]:
    return jax.vmap(lambda step: drawn(key, step, drawable, batch))(first + jnp.arange(steps))
