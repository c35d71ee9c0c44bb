"""A fitted `LearnedRule` as NumPy arrays, and its file, which needs neither JAX nor scikit-learn.

The file may come from a stranger (`io.tensors`). Names, types, shapes and ranges are checked before any computation.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from metaplastic.io.tensors import Sort, opened_safetensors, read_arrays, write_safetensors
from metaplastic.perceptron import ACTIVATIONS, Parameters, Perceptron, Statistics, slices

FORMAT = "metaplastic-transformer-1"
TRANSFORMER = Sort("saved transformer", "save a fitted LearnedRule to it", FORMAT)


def dense(X: Any) -> np.ndarray:
    """Return an array of all numbers of `X`, a NumPy array or a sparse one."""
    found: np.ndarray = X.toarray() if hasattr(X, "toarray") else X
    return found


class FittedRule(NamedTuple):
    """What `LearnedRule` has learned. It starts in a fraction of a second and works in forked processes."""

    least: np.ndarray
    """What scaling subtracts from each column."""
    spread: np.ndarray
    """What it then divides each column by."""
    missing: np.ndarray | None
    """What stands for a missing value of each column, if values may be missing."""
    perceptron: Perceptron
    names: tuple[str, ...] | None
    """Names of the columns, if they had any."""
    parameters: dict[str, Any]
    """Parameters of the `LearnedRule`."""

    @classmethod
    def load(cls, path: str | Path) -> "FittedRule":
        """Read a file that `LearnedRule.save` has written, which may come from anyone.

        Raises:
            InputError: the file is missing or no such file, or it has changed since it was written.
        """
        with opened_safetensors(Path(path), TRANSFORMER) as (file, header):
            arrays = read_arrays(file, header)
            return cls._of(arrays, json.loads(header["parameters"]), json.loads(header["columns"]))

    @classmethod
    def _of(cls, arrays: dict[str, np.ndarray], parameters: Any, names: Any) -> "FittedRule":
        """Make one of what a file holds; raise ValueError, KeyError or TypeError if that does not fit together."""
        if parameters["activation"] not in ACTIVATIONS:
            raise ValueError(f"the activation {parameters['activation']!r} is unknown")
        widths = [len(arrays["column_min"]), *parameters["hidden"], parameters["features"]]
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(arrays.keys() & {"column_mean"}, (widths[0],))
        shapes |= dict.fromkeys(("column_min", "column_range"), (widths[0],))
        for layer, (below, above) in enumerate(pairwise(widths)):
            shapes |= {f"layer_{layer}.{name}": (below, above) for name in ("W", "V")}
            shapes |= {f"layer_{layer}.{name}": (above,) for name in ("b", "mean", "variance")}
        if shapes != {name: array.shape for name, array in arrays.items()}:
            raise ValueError("its arrays are not those of its parameters")
        for name, array in arrays.items():
            kinds = ("float32", "float64") if name.startswith("column") else ("float32",)
            if array.dtype.name not in kinds or not np.isfinite(array).all():
                raise ValueError(f"{name} is not all finite numbers of type {' or '.join(kinds)}")
            if (name == "column_range" and (array <= 0).any()) or (name.endswith("variance") and (array < 0).any()):
                raise ValueError(f"{name} holds numbers that are too small")
        if names is not None and not (len({str(name) for name in names}) == len(names) == widths[0]):
            raise ValueError("it has not one name for each column")
        layers, statistics = [], []
        for layer in range(len(widths) - 1):
            W, b, V, mean, variance = (arrays[f"layer_{layer}.{name}"] for name in ("W", "b", "V", "mean", "variance"))
            layers.append(Parameters(W, b, V))
            statistics.append(Statistics(mean, variance))
        perceptron = Perceptron(tuple(layers), tuple(statistics), parameters["activation"])
        missing, texts = arrays.get("column_mean"), None if names is None else tuple(map(str, names))
        return cls(arrays["column_min"], arrays["column_range"], missing, perceptron, texts, parameters)

    def save(self, path: str | Path) -> None:
        """Write the file; raise InputError if it cannot be written."""
        arrays = {"column_min": self.least, "column_range": self.spread}
        if self.missing is not None:
            arrays["column_mean"] = self.missing
        for layer, (own, statistics) in enumerate(zip(self.perceptron.layers, self.perceptron.statistics, strict=True)):
            arrays |= {
                f"layer_{layer}.{name}": array for name, array in {**own._asdict(), **statistics._asdict()}.items()
            }
        header = {
            "format": FORMAT,
            "parameters": json.dumps(self.parameters, sort_keys=True),
            "columns": json.dumps(self.names),
        }
        write_safetensors(Path(path), arrays, header)

    def transform(self, X: Any) -> Float32[np.ndarray, "row feature"]:
        """Return features of rows of numbers, an array or a sparse matrix; those of a row depend on that row alone.

        Raises:
            ValueError: X has another number of columns, or holds what is not finite.
        """
        X = X.tocsr() if hasattr(X, "tocsr") else np.asarray(X)
        widths = [len(layer.b) for layer in self.perceptron.layers]
        if X.ndim != 2 or X.shape[1] != len(self.least):
            raise ValueError(f"X has the shape {X.shape}; give rows of {len(self.least)} columns")
        features = np.empty((X.shape[0], widths[-1]), np.float32)
        for rows in self.parts(X, widths):
            features[rows] = self.perceptron.features(self.scaled(X[rows]))
        return features

    def parts(self, X: Any, widths: Sequence[int]) -> list[slice]:
        """Return slices of the rows of `X` that are scaled and go through layers of these widths at once."""
        count, columns = X.shape
        return slices(count, [X.nnz // max(count, 1) + 1 if self._stays_sparse(X) else columns, *widths])

    def scaled(self, X: Any) -> Any:
        """Return rows as the base model takes them: float32, dense; sparse only if zero stays zero."""
        if not self._stays_sparse(X):
            return self._scaled(dense(X), self.least, self.spread, self.missing)
        X, columns = X.copy(), X.indices
        missing = None if self.missing is None else self.missing[columns]
        X.data = self._scaled(X.data, self.least[columns], self.spread[columns], missing)
        return X

    def _stays_sparse(self, X: Any) -> bool:
        return hasattr(X, "toarray") and not self.least.any()

    @staticmethod
    def _scaled(X: np.ndarray, least: np.ndarray, spread: np.ndarray, missing: np.ndarray | None) -> np.ndarray:
        if missing is not None:
            X = np.where(np.isnan(X), missing, X)
        with np.errstate(all="ignore"):
            x: np.ndarray = ((X - least) / spread).astype(np.float32)
        if not np.isfinite(x).all():
            for name, found in {"NaN": np.isnan(X), "infinity": np.isinf(X)}.items():
                if found.any():
                    raise ValueError(f"X contains {name}.")
            raise ValueError("X holds numbers too large for single precision; bring them to a common scale first.")
        return x
