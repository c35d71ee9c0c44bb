"""A trained base model in NumPy: features of any rows, one by one, without JAX, also in forked processes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

CHUNK = 2**20
"""Numbers of a layer, or of X, that are computed at once."""

EPSILON = 1e-6
"""Number added to the variance in batch norm."""


def _sigmoid(z: np.ndarray) -> np.ndarray:
    # In this form nothing overflows.
    return 0.5 + 0.5 * np.tanh(0.5 * z)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda z: np.maximum(z, 0, out=z),
    "leaky_relu": lambda z: np.where(z >= 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "swish": lambda z: z * _sigmoid(z),
    "tanh": lambda z: np.tanh(z, out=z),
    "sigmoid": _sigmoid,
    "softplus": lambda z: np.logaddexp(z, 0),
    "sine": lambda z: np.sin(z, out=z),
    "step": lambda z: (z > 0).astype(z.dtype),
}
"""The functions of `network.ACTIVATIONS`; they may overwrite what they are given."""


class Parameters(NamedTuple):
    """Parameters of one layer, as `network.Layer` names them."""

    W: Float32[np.ndarray, "below above"]
    b: Float32[np.ndarray, " above"]
    V: Float32[np.ndarray, "below above"]


class Statistics(NamedTuple):
    """Statistics of one layer's pre-activations before batch norm."""

    mean: Float32[np.ndarray, " above"]
    variance: Float32[np.ndarray, " above"]


class Perceptron(NamedTuple):
    """A base model whose batch norm has fixed statistics; layers without statistics are not computed."""

    layers: tuple[Parameters, ...]
    statistics: tuple[Statistics, ...]
    activation: str

    def features(self, x: Any) -> Float32[np.ndarray, "row feature"]:
        """Return the activations of the last layer that has statistics for rows of `x`, dense or sparse."""
        activation = ACTIVATIONS[self.activation]
        # What leaves the range of single precision gives what is not finite, as in JAX, and no warning.
        with np.errstate(all="ignore"):
            for (W, b, _), (mean, variance) in zip(self.layers, self.statistics, strict=False):
                z = x @ W
                z -= mean
                z *= 1 / np.sqrt(variance + np.float32(EPSILON))
                z += b
                x = activation(z)
        return x

    def with_statistics(self, chunks: Callable[[], Iterable[Any]]) -> "Perceptron":
        """Return the same with statistics over all rows of `chunks`, which is called once for each layer.

        Sums are in double precision.
        """
        found: tuple[Statistics, ...] = ()
        for layer in self.layers:
            below, rows = self._replace(statistics=found), 0
            mean, spread = np.zeros((2, len(layer.b)))
            for x in chunks():
                z = (below.features(x) if found else x) @ layer.W
                # Chan, Golub and LeVeque (1979): updating formulae for variances.
                of_chunk = z.mean(0, dtype=np.float64)
                z -= of_chunk.astype(np.float32)
                share = len(z) / (rows + len(z))
                step = of_chunk - mean
                spread += np.einsum("ij,ij->j", z, z, dtype=np.float64) + rows * share * step**2
                mean += share * step
                rows += len(z)
            found = (*found, Statistics(mean.astype(np.float32), (spread / rows).astype(np.float32)))
        return self._replace(statistics=found)


def slices(rows: int, widths: Sequence[int]) -> list[slice]:
    """Part `rows` so that, in each part, no layer of one of `widths` has more than about `CHUNK` numbers."""
    step = max(1, CHUNK // max(widths))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]
