"""A learned rule as a scikit-learn transformer, from unlabelled rows to features."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from metaplastic.config.base import LARGEST_DECAY
from metaplastic.learned_rule.columns import Columns, columns_of
from metaplastic.learned_rule.fitted import FittedRule
from metaplastic.learned_rule.sample import empty_sample
from metaplastic.parameters import check_integer, check_no_bool, plain_parameters, seed_of, with_parameters
from metaplastic.perceptron import ACTIVATIONS, Perceptron
from metaplastic.update_rules import spec as config
from metaplastic.update_rules.pretrained import DEFAULT, pretrained_file

DTYPES = (np.float64, np.float32)
"""Types of X that are scaled as they are; others are converted to the first."""


class LearnedRule(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features from a base model that a meta-trained rule trains on unlabelled rows (Metz et al. 2019).

    `fit` draws a base model, a perceptron with batch norm, and lets the rule change its weights for `inner_steps`
    batches of rows. It never looks at labels. `transform` returns the activations of the last layer.

    The packaged rules were meta-trained on images and similar tasks: `generalist` on networks of many activations,
    depths and widths, `quill` with one hidden layer of ReLU, `pinion` with up to four. For tables with few columns,
    standardise instead, or compare: the guide `docs/guides/choosing.md` has the numbers. There `barb` loses least, with
    10 inner steps and columns that you standardise (`scale=False`).

    `fit` first compiles the rule once for every number of columns, which may take longer than the steps. Later
    processes find the program in the user's cache folder (`~/.cache/metaplastic` on Linux), unless you tell JAX to keep
    it elsewhere (`JAX_COMPILATION_CACHE_DIR`) or not at all (`JAX_ENABLE_COMPILATION_CACHE=0`).

    `fit` computes with JAX, under settings of its own: none of yours changes its numbers. `transform` takes NumPy
    alone. A process that was forked after JAX had started can only do the latter.

    While the rule learns, batch norm takes its statistics from each batch. Afterwards they are fixed to those of all
    rows given to `fit`, so that the features of a row depend on that row only. The fitted rows get the features that
    the workflow records, which takes the statistics from the whole dataset.

    Args:
        rule: name of a packaged rule, or path of a theta file, `.safetensors`. You can use such a file from anyone,
            because it holds only numbers.
        hidden: widths of the base model's hidden layers, from the input up.
        features: width of its last layer, the number of features. A published rule demands a fixed number.
        activation: activation of every layer: relu, leaky_relu, elu, swish, tanh, sigmoid, softplus, sine or step.
            `generalist` has learned with all but step; with relu, leaky_relu and swish it is best.
        inner_steps: batches that the rule learns from; with 0 the base model keeps its initial weights.
        batch: rows per step, drawn with replacement.
        average: decay per step of the moving average of the base model, which `transform` uses; 0 averages nothing.
            Averaging smooths the effects of single batches.
        scale: whether to scale every column to [0, 1] by its smallest and largest fitted value, the range used in
            meta-training. Unlike standardising it suits pixels as well as tables; without it, the units of columns
            matter. Later rows may leave the range; clip outliers first.
        random_state: seed of the base model and of the order of rows. An integer gives the result of the workflow for
            that seed, also in threads; NumPy's RandomState and None draw a seed, so that threads which share one
            RandomState get seeds in no certain order.
        verbose: whether `fit` prints each step and its duration; with 2 also a curve: how much the features of some
            rows have changed since the last point (root mean square).
        missing: "mean" to put the mean of a column in place of its missing values, which are NaN, in `fit` and later;
            with None they are refused.
        device: what `fit` computes on, such as "cpu" or "gpu"; with None, JAX's default. `transform` needs neither.

    Attributes:
        layers_: parameters (W, b, V) of each layer of the base model; rows of the first W are columns of X.
        statistics_: mean and variance (unit) of every layer's pre-activation before batch norm, over the fitted rows.
        column_min_, column_range_: what `scale` subtracts from each column, then divides it by.
        column_mean_: what stands for a missing value of each column, None unless values may be missing.
        n_features_in_, feature_names_in_: number of columns of X, and their names if it had any.
    """

    # Of the batches so far: a sample, the columns, and `missing`.
    _sample: Any = None
    _columns: Any = None
    _missing: Any = None

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
        missing: Any = None,
        device: Any = None,
    ):
        self.rule, self.hidden, self.features, self.activation = rule, hidden, features, activation
        self.inner_steps, self.batch, self.average, self.scale = inner_steps, batch, average, scale
        self.random_state, self.verbose, self.missing, self.device = random_state, verbose, missing, device

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
            X: numbers [row, column]: an array or similar, or a sparse matrix, with at least 2 rows and 2 columns.
            y: ignored.

        Raises:
            ValueError: X or a parameter is invalid.
            TypeError: a parameter has another type.
            InputError: the rule's file is missing or not a theta file, the rule demands another number of features, or
                there is too little memory for a base model of this width or batches of this size.
        """
        self.check_parameters()
        with self._unless_it_fails():
            X = self._checked(X, first=True)
            self._sample = None
            return self._fit(X, columns_of(X, means=self.missing is not None), seed_of(self.random_state))

    def partial_fit(self, X: Any, y: object = None) -> "LearnedRule":
        """Train the base model on all rows given so far, `X` included; begin anew after `fit` or `load`.

        It keeps and learns from a uniform sample of these rows, of at most 16 million numbers or 4,096 rows. As long as
        all rows fit, the result is that of `fit` on all of them. Every call trains anew for `inner_steps`, so give
        large batches, or use `fit_batches`.

        Args:
            X: as for `fit`; later batches may have one row.
            y: ignored.

        Raises:
            ValueError, TypeError, InputError: as for `fit`.
        """
        self.check_parameters()
        with self._unless_it_fails():
            self._take(X)
            return self._fit(self._sample.rows, self._columns, self._sample.seed)

    def fit_batches(self, batches: Iterable[Any]) -> "LearnedRule":
        """Do as `partial_fit` on each of `batches`, but train once, at the end, and keep no sample."""
        self.check_parameters()
        with self._unless_it_fails():
            self._sample = None
            for X in batches:
                self._take(X)
            if self._sample is None:
                raise ValueError("no batches; give one or more")
            sample, self._sample = self._sample, None
            return self._fit(sample.rows, self._columns, sample.seed)

    def transform(self, X: Any) -> Float[np.ndarray, "row feature"]:
        """Return features in single precision, dense; those of a row do not depend on other rows.

        This takes NumPy alone, so it works in forked processes too.

        Raises:
            NotFittedError: before `fit`.
            ValueError: X is not finite, or has other columns than the rows given to `fit`.
        """
        check_is_fitted(self)
        return self._fitted().transform(self._checked(X))

    def save(self, path: str | Path) -> None:
        """Write what was fitted to a file `.safetensors`, which holds only numbers, and texts about them.

        Raises:
            NotFittedError: before `fit`.
            InputError: the file cannot be written.
        """
        check_is_fitted(self)
        self._fitted().save(path)

    @classmethod
    def load(cls, path: str | Path) -> "LearnedRule":
        """Return a fitted transformer from a file that `save` has written; you can use such a file from anyone.

        Another `fit` needs the rule's file again, `transform` does not.

        Raises:
            InputError: the file is missing or no such file, or it has changed since it was written.
        """
        fitted = FittedRule.load(path)
        model = with_parameters(cls, fitted.parameters, path, "saved transformer")
        model.n_features_in_ = len(fitted.least)
        if fitted.names is not None:
            model.feature_names_in_ = np.array(fitted.names, object)
        model._set(fitted)
        return model

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError if a parameter is invalid; `fit` begins with this."""
        if not isinstance(self.rule, str | Path):
            raise TypeError(f"rule == {self.rule!r}, must be the name of a rule or the path of a theta file.")
        self._base_model()
        check_no_bool(self.random_state, "random_state")
        if isinstance(self.random_state, Integral):
            check_random_state(self.random_state)
        check_integer(self.inner_steps, "inner_steps", least=0)
        check_integer(self.batch, "batch")
        check_no_bool(self.average, "average")
        check_scalar(self.average, "average", Real, min_val=0, max_val=1, include_boundaries="left")
        if not self.average <= LARGEST_DECAY:
            raise ValueError(f"average == {self.average}, must be 0 to {LARGEST_DECAY}.")
        if not isinstance(self.scale, bool | np.bool_):
            raise TypeError(f"scale == {self.scale!r}, must be True or False.")
        if not isinstance(self.verbose, Integral | np.bool_) or self.verbose < 0:
            raise TypeError(f"verbose == {self.verbose!r}, must be True, False or a number from 0 up.")
        if self.missing not in (None, "mean"):
            raise ValueError(f"missing == {self.missing!r}, must be 'mean' or None.")
        if not isinstance(self.device, str | None):
            raise TypeError(f"device == {self.device!r}, must be the name of a platform, such as 'cpu', or None.")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.sparse, tags.input_tags.allow_nan = True, self.missing is not None
        return tags

    @property
    def _n_features_out(self) -> int:
        return len(self.layers_[-1][1])

    def _base_model(self) -> config.BaseModel:
        if not isinstance(self.hidden, Sequence | np.ndarray):
            raise ValueError(f"hidden == {self.hidden!r}, must be a sequence of widths.")
        for width in self.hidden:
            check_integer(width, "hidden")
        check_integer(self.features, "features")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation == {self.activation!r}, must be one of {', '.join(ACTIVATIONS)}.")
        hidden = [int(width) for width in self.hidden]
        try:
            return config.BaseModel(hidden=hidden, features=int(self.features), activation=self.activation)
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error

    def _checked(self, X: Any, *, first: bool = False) -> Any:
        finite: Any = True if self.missing is None else "allow-nan"
        least = {"ensure_min_samples": 2, "ensure_min_features": 2} if first else {}
        return validate_data(self, X, accept_sparse="csr", dtype=DTYPES, ensure_all_finite=finite, reset=first, **least)

    @contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        """Change the transformer within, and leave it as it was if that fails or is stopped."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _take(self, X: Any) -> None:
        first = self._sample is None
        if not first and self.missing != self._missing:
            raise ValueError(f"missing == {self.missing!r}, must be {self._missing!r} as for the rows so far.")
        X = self._checked(X, first=first)
        columns = columns_of(X, means=self.missing is not None)
        if first:
            self._sample, self._missing = empty_sample(seed_of(self.random_state), X.shape[1]), self.missing
        self._sample, self._columns = self._sample.added(X), columns if first else self._columns.joined(columns)

    def _fit(self, X: Any, columns: Columns, seed: int) -> "LearnedRule":
        if not columns.counts.all():
            empty = int(columns.counts.argmin())
            named = (
                f"column {self.feature_names_in_[empty]!r}"
                if hasattr(self, "feature_names_in_")
                else f"column {empty} of X"
            )
            raise ValueError(f"{named} has no value; drop it.")
        for name, found in {"NaN": np.isnan, "infinity": np.isinf}.items():
            if (found(columns.low) | found(columns.high)).any():
                raise ValueError(f"X contains {name}.")
        with np.errstate(over="ignore"):
            spread = columns.high - columns.low
        least, spread = columns.low, np.where(spread > 0, spread, 1)
        if not self.scale:
            least, spread = np.zeros_like(least), np.ones_like(spread)
        missing = None if self.missing is None else columns.mean
        untrained = FittedRule(
            least, spread, missing, Perceptron((), (), self.activation), None, plain_parameters(self)
        )
        # JAX takes a second to import, and `transform` does without.
        from metaplastic.learned_rule.learning import learned

        perceptron = learned(untrained, X, self._base_model(), seed=seed)
        self._set(untrained._replace(perceptron=perceptron))
        return self

    def _set(self, fitted: FittedRule) -> None:
        self.column_min_, self.column_range_, self.column_mean_ = fitted.least, fitted.spread, fitted.missing
        self.layers_, self.statistics_, self.activation_ = fitted.perceptron
        self._parameters = fitted.parameters

    def _fitted(self) -> FittedRule:
        names = tuple(self.feature_names_in_) if hasattr(self, "feature_names_in_") else None
        perceptron = Perceptron(self.layers_, self.statistics_, self.activation_)
        columns = self.column_min_, self.column_range_, self.column_mean_
        return FittedRule(*columns, perceptron, names, self._parameters)
