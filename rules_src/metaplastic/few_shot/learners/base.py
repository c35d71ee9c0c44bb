"""The interface of few-shot learners: anything that maps support and query to predictions.

Examples lie along the axis `way` of their class, so an episode has no further labels. A module of this folder has
`fit(spec, data) -> Learner`, or, where many tasks train it, `initial(spec, key, image) -> Trainable`.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int


@runtime_checkable
class Learner(Protocol):
    """What is evaluated on episodes."""

    def predict(
        self,
        support: Float32[np.ndarray, "episode way shots input"],
        query: Float32[np.ndarray, "episode way queries input"],
    ) -> Int[np.ndarray, "episode way queries"]:
        """The class, 0 to `way` - 1, of every query example."""


class Scoring(eqx.Module):
    """A learner in JAX, one episode after another: each is a batch large enough."""

    def scores(
        self, support: Float[Array, "way shots input"], query: Float[Array, "way queries input"]
    ) -> Float[Array, "way queries way"]:
        """Of every class for every query example of one episode; the largest is predicted."""
        raise NotImplementedError

    def predict(
        self,
        support: Float32[np.ndarray, "episode way shots input"],
        query: Float32[np.ndarray, "episode way queries input"],
    ) -> Int[np.ndarray, "episode way queries"]:
        """As `Learner.predict`."""
        return np.asarray(_predicted(self, jnp.asarray(support), jnp.asarray(query)))


@eqx.filter_jit
def _predicted(learner: Scoring, support: Array, query: Array) -> Int[Array, "episode way queries"]:
    return jax.lax.map(lambda episode: learner.scores(*episode).argmax(-1), (support, query))


class Outcome(NamedTuple):
    """What a learner makes of one training task."""

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    seen: Any = ()
    """What `Trainable.settled` takes, if anything."""


class Trainable(Scoring):
    """A learner that gradient descent on many tasks trains."""

    def outcome(self, support: Float[Array, "way shots input"], query: Float[Array, "way queries input"]) -> Outcome:
        """Loss and accuracy on the query of one training task."""
        raise NotImplementedError

    def settled(self, seen: Any) -> "Trainable":
        """The learner after a gradient step, with what is no gradient's business; `seen` is the mean over its tasks."""
        return self
