"""The interface of few-shot learners and their common parts.

Examples lie along the axis `way` of their class, so an episode needs no labels. Each kind has a module in this folder
with `fit(spec, data) -> Learner` or, if many tasks train it, `initial(spec, key, image) -> Trainable`.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from metaplastic.io.compilation import jit

Supports = Float32[np.ndarray, "episode way shots input"]
Queries = Float32[np.ndarray, "episode way queries input"]
Predictions = Int[np.ndarray, "episode way queries"]

Support = Float[Array, "way shots input"]
Query = Float[Array, "way queries input"]
Scores = Float[Array, "way queries way"]
"""Scores of every class for every query example of one episode; the largest is predicted."""


@runtime_checkable
class Learner(Protocol):
    """Anything that can be evaluated on episodes."""

    def predict(self, support: Supports, query: Queries) -> Predictions:
        """Return the class of every query example, 0 to `way` - 1."""


class EachEpisode(NamedTuple):
    """A `Learner` that is fitted anew on the support of each episode."""

    fit_and_predict: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    """Takes labelled examples, their classes and other examples; returns the classes of the latter."""

    def predict(self, support: Supports, query: Queries) -> Predictions:
        """Return the class of every query example."""
        episodes, way, shots, width = support.shape
        classes = np.repeat(np.arange(way), shots)
        flat = zip(support.reshape(episodes, -1, width), query.reshape(episodes, -1, width), strict=True)
        # The matrices are too small to share between threads.
        with threadpool_limits(1):
            predicted = [self.fit_and_predict(shown, classes, asked) for shown, asked in flat]
        return np.stack(predicted).reshape(query.shape[:3])


class Scoring(eqx.Module):
    """A `Learner` in JAX, which takes one episode after another: each is a large enough batch."""

    @abc.abstractmethod
    def scores(self, support: Support, query: Query) -> Scores:
        """Return the scores of one episode."""

    def predict(self, support: Supports, query: Queries) -> Predictions:
        """Return the class of every query example."""
        return np.asarray(self._predicted(jnp.asarray(support), jnp.asarray(query)))

    @jit
    def _predicted(self, support: Array, query: Array) -> Int[Array, "episode way queries"]:
        return jax.lax.map(lambda episode: self.scores(*episode).argmax(-1), (support, query))


class Outcome(NamedTuple):
    """The result of one training task."""

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    seen: Any = ()
    """Statistics for `Trainable.settled`."""


class Trainable(Scoring):
    """A learner that gradient descent on many tasks trains."""

    @abc.abstractmethod
    def outcome(self, support: Support, query: Query) -> Outcome:
        """Return loss and accuracy on the query of one training task."""

    def settled(self, seen: Any) -> "Trainable":
        """Return the learner after a gradient step with its statistics updated; `seen` is the mean over the tasks."""
        return self


def nearness(points: Any, to: Any) -> Any:
    """Return [point, other]: minus squared distances of points from others, up to a number of each point's own."""
    return 2 * points @ to.T - (to**2).sum(1)


def cross_entropy(scores: Float[Array, "way example class_"]) -> Float[Array, "way example"]:
    """Return each example's cross-entropy; the first axis is the true class."""
    true = jnp.arange(len(scores))[:, None, None]
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), true, axis=2)[..., 0]


def accuracy(scores: Float[Array, "way example class_"]) -> Float[Array, ""]:
    """Return the share of examples whose own class has the largest score."""
    return (scores.argmax(2) == jnp.arange(len(scores))[:, None]).mean()
