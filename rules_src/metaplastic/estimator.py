"""A learned rule as a scikit-learn transformer, from unlabelled rows to features."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from metaplastic.apply import InnerLoops, advance, check_size, initial_inner_loops
from metaplastic.config.base import LARGEST, LARGEST_DECAY
from metaplastic.io.jax_settings import compilations_kept
from metaplastic.network import ACTIVATIONS, BaseModel, BatchStatistics, batch_statistics, features_given, layer_widths
from metaplastic.update_rules import spec as config
from metaplastic.update_rules.base import check_fit
from metaplastic.update_rules.pretrained import DEFAULT, pretrained_file
from metaplastic.update_rules.theta import trained_rule

CHUNK = 256
"""Rows that `transform` takes at once and `fit` pads to multiples of, so that other numbers of rows compile nothing."""
DTYPES = (np.float64, np.float32)
"""Types of X that are scaled as they are; others are converted to the first."""

# Compiled as a whole, because otherwise every operation would be compiled separately.
_initial_inner_loops = eqx.filter_jit(initial_inner_loops)
_features_given = eqx.filter_jit(features_given)


@eqx.filter_jit
def _finished(loops: InnerLoops, x: Float[Array, "row column"]) -> tuple[BaseModel, tuple[BatchStatistics, ...]]:
    """Return the only seed's base model with its inputs in the order of columns, and its statistics over all rows."""
    phi, permutation = jax.tree.map(lambda leaf: leaf[0], (loops.averages, loops.permutations))
    # Its input j was column `permutation[j]`.
    order = jnp.argsort(permutation)
    first, *others = phi.layers
    phi = BaseModel((first._replace(W=first.W[order], V=first.V[order]), *others), phi.activation)
    return phi, batch_statistics(phi, x)


class LearnedRule(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features from a base model that a meta-trained rule trains on unlabelled rows (Metz et al. 2019).

    `fit` draws a base model, a perceptron with batch norm, and lets the rule change its weights for `inner_steps`
    batches of rows. It never looks at labels. `transform` returns the activations of the last layer.

    The packaged rules were meta-trained on images and similar tasks, `quill` on networks with one hidden layer and
    `pinion` with up to four. For tables with few columns, standardise instead, or compare: the README has the numbers.
    There `barb` loses least, with 10 inner steps and columns that you standardise (`scale=False`).

    `fit` first compiles the rule once for every number of columns, which may take longer than the steps. Later
    processes find the program in the user's cache folder (`~/.cache/metaplastic` on Linux), unless you tell JAX to keep
    it elsewhere (`JAX_COMPILATION_CACHE_DIR`) or not at all (`JAX_ENABLE_COMPILATION_CACHE=0`).

    While the rule learns, batch norm takes its statistics from each batch. Afterwards they are fixed to those of all
    rows given to `fit`, so that the features of a row depend on that row only. The fitted rows get the features that
    the workflow records, which takes the statistics from the whole dataset.

    Args:
        rule: name of a packaged rule, or path of a theta file, `.safetensors`. You can use such a file from anyone,
            because it holds only numbers.
        hidden: widths of the base model's hidden layers, from the input up.
        features: width of its last layer, the number of features. A published rule demands a fixed number.
        activation: activation of every layer: relu, leaky_relu, elu, swish, tanh, sigmoid, softplus, sine or step. The
            best is the one used in meta-training, relu by default.
        inner_steps: batches that the rule learns from; with 0 the base model keeps its initial weights.
        batch: rows per step, drawn with replacement.
        average: decay per step of the moving average of the base model, which `transform` uses; 0 averages nothing.
            Averaging smooths the effects of single batches.
        scale: whether to scale every column to [0, 1] by its smallest and largest fitted value, the range used in
            meta-training. Unlike standardising it suits pixels as well as tables; without it, the units of columns
            matter. Later rows may leave the range; clip outliers first.
        random_state: seed of the base model and of the order of rows. An integer gives the result of the workflow for
            that seed; NumPy's RandomState and None draw a seed.
        verbose: whether `fit` prints each step and its duration.

    Attributes:
        layers_: parameters (W, b, V) of each layer of the base model; rows of the first W are columns of X.
        statistics_: mean and variance (unit) of every layer's pre-activation before batch norm, over the fitted rows.
        column_min_, column_range_: what `scale` subtracts from each column, then divides it by.
        n_features_in_, feature_names_in_: number of columns of X, and their names if it had any.
    """

    # scikit-learn requires, and tests, a constructor that only stores its arguments; `fit` validates them.
    def __init__(
        self,
        rule: Any = DEFAULT,
        *,
        hidden: Any = (64,),
        features: Any = 32,
        activation: Any = "relu",
        inner_steps: Any = 200,
        batch: Any = 64,
        average: Any = 0.97,
        scale: Any = True,
        random_state: Any = 0,
        verbose: Any = False,
    ):
        self.rule, self.hidden, self.features, self.activation = rule, hidden, features, activation
        self.inner_steps, self.batch, self.average, self.scale = inner_steps, batch, average, scale
        self.random_state, self.verbose = random_state, verbose

    @classmethod
    def from_pretrained(cls, name: str = DEFAULT, **params: Any) -> "LearnedRule":
        """Return a transformer with the rule `data/pretrained/<name>.safetensors`; raise InputError if there is none.

        `params` are other parameters of the constructor.
        """
        pretrained_file(name)
        return cls(name, **params)

    def fit(self, X: Any, y: object = None) -> "LearnedRule":
        """Train the base model on unlabelled rows.

        Args:
            X: numbers [row, column]: an array or similar, dense and finite, with at least 2 rows and 2 columns.
            y: ignored.

        Raises:
            ValueError: X or a parameter is invalid.
            TypeError: X is sparse, or a parameter has another type.
            InputError: the rule's file is missing or not a theta file, the rule demands another number of features, or
                there is too little memory for a base model of this width or batches of this size.
        """
        section = self._base_model()
        _check_no_bool(self.random_state, "random_state")
        generator, is_seed = check_random_state(self.random_state), isinstance(self.random_state, Integral)
        seed = int(self.random_state if is_seed else generator.randint(2**31 - 1))
        _check_integer(self.inner_steps, "inner_steps", least=0)
        _check_integer(self.batch, "batch")
        _check_no_bool(self.average, "average")
        check_scalar(self.average, "average", Real, min_val=0, max_val=1, include_boundaries="left")
        if not self.average <= LARGEST_DECAY:
            raise ValueError(f"average == {self.average}, must be 0 to {LARGEST_DECAY}.")
        if not isinstance(self.scale, bool | np.bool_):
            raise TypeError(f"scale == {self.scale!r}, must be True or False.")
        X = validate_data(self, X, dtype=DTYPES, ensure_min_samples=2, ensure_min_features=2)
        scaled_by = X if self.scale else np.zeros_like(X[:1])
        with np.errstate(over="ignore"):
            spread = np.ptp(scaled_by, 0)
        self.column_min_, self.column_range_ = scaled_by.min(0), np.where(spread > 0, spread, 1)
        # Rules compute in single precision, even if the process otherwise uses double.
        with jax.enable_x64(False), compilations_kept():
            phi, statistics = self._trained(self._scaled(X), section, jax.random.key(seed))
        self.layers_, self.statistics_, self.activation_ = phi.layers, statistics, section.activation
        self._n_features_out = section.features
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "row feature"]:
        """Return features in single precision; those of a row do not depend on other rows.

        Raises:
            NotFittedError: before `fit`.
            ValueError: X is not finite, or has other columns than the rows given to `fit`.
        """
        check_is_fitted(self)
        x = self._scaled(validate_data(self, X, dtype=DTYPES, reset=False))
        layers, statistics = jax.tree.map(jnp.asarray, (self.layers_, self.statistics_))
        phi = BaseModel(layers, ACTIVATIONS[self.activation_])
        chunks = _padded(x).reshape(-1, CHUNK, x.shape[1])
        with compilations_kept():
            features = [_features_given(phi, statistics, jnp.asarray(chunk)) for chunk in chunks]
        return np.concatenate(features)[: len(x)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _base_model(self) -> config.BaseModel:
        if not isinstance(self.hidden, Sequence | np.ndarray):
            raise ValueError(f"hidden == {self.hidden!r}, must be a sequence of widths.")
        for width in self.hidden:
            _check_integer(width, "hidden")
        _check_integer(self.features, "features")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation == {self.activation!r}, must be one of {', '.join(ACTIVATIONS)}.")
        hidden = [int(width) for width in self.hidden]
        try:
            return config.BaseModel(hidden=hidden, features=int(self.features), activation=self.activation)
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error

    def _scaled(self, X: np.ndarray) -> Float[np.ndarray, "row column"]:
        with np.errstate(over="ignore", invalid="ignore"):
            x = ((X - self.column_min_) / self.column_range_).astype(np.float32)
        if not np.isfinite(x).all():
            raise ValueError("X holds numbers too large for single precision; bring them to a common scale first.")
        return x

    def _trained(
        self, x: Float[np.ndarray, "row column"], section: config.BaseModel, key: Key[Array, ""]
    ) -> tuple[BaseModel, tuple[BatchStatistics, ...]]:
        """Return the trained base model and its statistics as `_finished` does, in NumPy arrays."""
        name, columns = str(self.rule), x.shape[1]
        spec, rule = trained_rule(Path(name) if name.endswith(".safetensors") else pretrained_file(name))
        check_fit(spec, section)
        batch, average, steps = int(self.batch), float(self.average), int(self.inner_steps)
        check_size(1, columns, section, batch=batch)
        padded = jnp.asarray(_padded(x))
        rows = jnp.arange(len(padded))

        def advanced(loops: InnerLoops, stop: int) -> InnerLoops:
            span = 0, stop
            loops = advance(rule, loops, padded, rows, steps=span, batch=batch, average=average, drawable=len(x))
            return jax.block_until_ready(loops)  # type: ignore[no-untyped-call]

        with self._told(f"compiling the rule for {columns} columns"):
            widths = tuple(layer_widths(section, columns))
            loops = advanced(_initial_inner_loops(key[None], widths, section.activation), 0)
        with self._told(f"{steps} inner steps on batches of {batch} of {len(x)} rows"):
            loops = advanced(loops, steps)
            trained = jax.tree.map(np.asarray, _finished(loops, jnp.asarray(x)))
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(trained)):
            raise ValueError(f"rule {name!r} left weights that are not finite; scale X, or take fewer inner_steps.")
        return trained

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        start = time.perf_counter()
        if self.verbose:
            print(f"[{type(self).__name__}] {doing} ...", end="", flush=True)
        yield
        if self.verbose:
            print(f" {time.perf_counter() - start:.1f} s")


def _check_integer(value: Any, name: str, *, least: int = 1) -> None:
    _check_no_bool(value, name)
    check_scalar(value, name, Integral, min_val=least, max_val=LARGEST)


def _check_no_bool(value: Any, name: str) -> None:
    # Python counts True and False as integers.
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} == {value}, must be a number.")


def _padded(x: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "padded_row column"]:
    return np.pad(x, ((0, -len(x) % CHUNK), (0, 0)))
