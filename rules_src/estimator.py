"""A learned rule as a scikit-learn transformer: unlabelled rows in, features out."""

from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from rules_src.apply import advance, check_size, initial_inner_loops
from rules_src.base_model import ACTIVATIONS, BaseModel, BatchStatistics, batch_statistics, features_given
from rules_src.config import rules as config
from rules_src.config.base import LARGEST, LARGEST_DECAY
from rules_src.update_rules.base import check_fit
from rules_src.update_rules.pretrained import DEFAULT, pretrained_file
from rules_src.update_rules.theta import trained_rule

CHUNK = 256
"""Rows that `transform` takes at once, and whose multiples `fit` pads to: other numbers of rows compile nothing new."""
DTYPES = (np.float64, np.float32)
"""Of X as it is scaled; all others become the first."""

_batch_statistics = eqx.filter_jit(batch_statistics)
_features_given = eqx.filter_jit(features_given)


class LearnedRule(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features from a base model that a meta-trained rule trains on unlabelled rows (Metz et al. 2019).

    `fit` draws a base model, a perceptron with batch norm, and lets the rule change its weights for `inner_steps`
    batches of rows. Labels are never looked at. `transform` returns the activations of its last layer.

    While the rule learns, batch norm takes its statistics from each batch. Then they are fixed, to those of all rows
    given to `fit`, so that features of a row depend on that row alone; on the fitted rows themselves they are what the
    workflow records, which takes the statistics from the whole dataset.

    Args:
        rule: name of a rule that comes with the project, or path of a theta file, `.safetensors`. Such a file may come
            from anyone: it holds numbers only.
        hidden: widths of the base model's hidden layers, from the input up.
        features: width of its last layer, the number of features. A rule of the published kind demands one number.
        activation: of every layer: relu, leaky_relu, swish, tanh, softplus or step. Best is the one that the rule was
            meta-trained with, relu by default.
        inner_steps: batches that the rule learns from; with 0 the base model stays as it was drawn.
        batch: rows a step, drawn with replacement.
        average: decay a step of the moving average of the base model, which is what `transform` uses; 0 averages
            nothing. It evens out what single batches do.
        scale: whether every column is first brought to [0, 1] by its least and largest fitted value, the range that
            rules are meta-trained on. Unlike standardising it serves pixels as well as tables; without it, columns
            count by their units. Rows seen later may leave the range; outliers are best clipped before.
        random_state: seed of the base model and of the order of rows. An integer gives what the workflow gives for the
            seed of that number, NumPy's RandomState and None one that is drawn.

    Attributes:
        layers_: the base model's parameters (W, b, V) a layer; rows of the first W are columns of X.
        statistics_: mean and variance (unit) of every layer's pre-activation before batch norm, over the fitted rows.
        column_min_, column_range_: what `scale` subtracts from each column, then divides it by.
        n_features_in_, feature_names_in_: columns of X, and their names if it had any.
    """

    # scikit-learn wants a constructor that takes and keeps anything, and tests it; `fit` is what validates.
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
    ):
        self.rule = rule
        self.hidden = hidden
        self.features = features
        self.activation = activation
        self.inner_steps = inner_steps
        self.batch = batch
        self.average = average
        self.scale = scale
        self.random_state = random_state

    @classmethod
    def from_pretrained(cls, name: str = DEFAULT, **params: Any) -> "LearnedRule":
        """A transformer with a rule that comes with the project.

        Args:
            name: stem of a file in `data/pretrained`.
            params: as the constructor takes them.

        Raises:
            InputError: no such rule came with this installation.
        """
        pretrained_file(name)
        return cls(name, **params)

    def fit(self, X: Any, y: object = None) -> "LearnedRule":
        """Train the base model on unlabelled rows.

        Args:
            X: numbers [row, column]: an array or what becomes one, dense and finite, at least 2 rows and 2 columns.
            y: ignored.

        Raises:
            ValueError: X or a parameter is none that can be taken.
            TypeError: X is sparse, or a parameter is of another type.
            InputError: the rule's file is missing or no theta file, the rule demands another number of features, or
                there is too little memory for a base model so wide or batches so large.
        """
        section, seed = self._base_model(), self._seed()
        _check_integer(self.inner_steps, "inner_steps", least=0)
        _check_integer(self.batch, "batch")
        _check_no_bool(self.average, "average")
        check_scalar(self.average, "average", Real, min_val=0, max_val=1, include_boundaries="left")
        if not self.average <= LARGEST_DECAY:
            raise ValueError(f"average == {self.average}, must be 0 to {LARGEST_DECAY}.")
        if not isinstance(self.scale, bool | np.bool_):
            raise TypeError(f"scale == {self.scale!r}, must be True or False.")
        X = validate_data(self, X, dtype=DTYPES, ensure_min_samples=2, ensure_min_features=2)
        self.column_min_, self.column_range_ = _least_and_range(X if self.scale else np.zeros_like(X[:1]))

        # Rules compute in single precision, whatever else the process does in double.
        with jax.enable_x64(False):
            phi, statistics = self._trained(self._scaled(X), section, jax.random.key(seed))
        # As NumPy arrays, which any process can unpickle.
        self.layers_, self.statistics_ = jax.tree.map(np.asarray, (phi.layers, statistics))
        self.activation_ = section.activation
        self._n_features_out = section.features
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "row feature"]:
        """Features of rows, in single precision; those of a row do not depend on the others.

        Raises:
            NotFittedError: before `fit`.
            ValueError: X is not finite, or has other columns than the rows given to `fit`.
        """
        check_is_fitted(self)
        x = self._scaled(validate_data(self, X, dtype=DTYPES, reset=False))
        layers, statistics = jax.tree.map(jnp.asarray, (self.layers_, self.statistics_))
        phi = BaseModel(layers, ACTIVATIONS[self.activation_])
        chunks = _padded(x).reshape(-1, CHUNK, x.shape[1])
        return np.concatenate([_features_given(phi, statistics, jnp.asarray(chunk)) for chunk in chunks])[: len(x)]

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

    def _seed(self) -> int:
        _check_no_bool(self.random_state, "random_state")
        generator = check_random_state(self.random_state)
        is_seed = isinstance(self.random_state, Integral)
        return int(self.random_state if is_seed else generator.randint(2**31 - 1))

    def _scaled(self, X: np.ndarray) -> Float[np.ndarray, "row column"]:
        with np.errstate(over="ignore", invalid="ignore"):
            x = ((X - self.column_min_) / self.column_range_).astype(np.float32)
        if not np.isfinite(x).all():
            raise ValueError("X holds numbers too large for single precision; bring them to a common scale first.")
        return x

    def _trained(
        self, x: Float[np.ndarray, "row column"], section: config.BaseModel, key: Key[Array, ""]
    ) -> tuple[BaseModel, tuple[BatchStatistics, ...]]:
        """The trained base model, its inputs in the order of columns, and its statistics over all rows."""
        name = str(self.rule)
        spec, rule = trained_rule(Path(name) if name.endswith(".safetensors") else pretrained_file(name))
        check_fit(spec, section)
        check_size(1, x.shape[1], section, batch=int(self.batch))
        loops = initial_inner_loops(key[None], x.shape[1], section)
        padded, steps = jnp.asarray(_padded(x)), (0, int(self.inner_steps))
        rows = jnp.arange(len(padded))
        batch, average = int(self.batch), float(self.average)
        loops = advance(rule, loops, padded, rows, steps=steps, batch=batch, average=average, drawable=len(x))
        phi = _in_order_of_columns(jax.tree.map(lambda leaf: leaf[0], loops.averages), loops.permutations[0])
        statistics = _batch_statistics(phi, jnp.asarray(x))
        if not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((phi, statistics))):
            raise ValueError(f"rule {name!r} left weights that are not finite; scale X, or take fewer inner_steps.")
        return phi, statistics


def _check_integer(value: Any, name: str, *, least: int = 1) -> None:
    _check_no_bool(value, name)
    check_scalar(value, name, Integral, min_val=least, max_val=LARGEST)


def _check_no_bool(value: Any, name: str) -> None:
    """Python counts True and False among the integers."""
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} == {value}, must be a number.")


def _least_and_range(X: np.ndarray) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"]]:
    """Of each column; one in place of a range of zero."""
    with np.errstate(over="ignore"):
        spread = np.ptp(X, 0)
    return X.min(0), np.where(spread > 0, spread, 1)


def _padded(x: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "padded_row column"]:
    return np.pad(x, ((0, -len(x) % CHUNK), (0, 0)))


def _in_order_of_columns(phi: BaseModel, permutation: Int[Array, " input"]) -> BaseModel:
    """The same base model for inputs that are not permuted: its input j was column `permutation[j]`."""
    order = jnp.argsort(permutation)
    first, *others = phi.layers
    return BaseModel((first._replace(W=first.W[order], V=first.V[order]), *others), phi.activation)
