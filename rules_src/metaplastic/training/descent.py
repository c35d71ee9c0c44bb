"""Training by Adam, each batch given by the seed and the step: of networks that embed, and of few-shot learners."""

import abc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int, Key

from metaplastic.io.compilation import jit
from metaplastic.io.errors import InputError
from metaplastic.training.checkpoint import save_state
from metaplastic.training.loop import Folder, resumed
from metaplastic.training.progress import shown
from metaplastic.training.spec import Descended, Keep

Metrics = dict[str, Float[Array, "*axis"]]
"""The loss of a gradient step and other numbers about it, by name; all have one shape."""


class State(NamedTuple):
    """All that the next gradient step depends on; arrays may have a leading axis of seeds, except `step`."""

    network: Any
    """What is trained, and recorded."""
    optimiser: Any
    key: Key[Array, "*seed"]
    step: Int[Array, ""]
    classes: Int[Array, "seed example"] | None = None
    """Pseudo-labels of the examples, if there are any."""


class Progress(NamedTuple):
    """A training after a dispatch of gradient steps."""

    state: State
    metrics: Metrics
    """Metrics of each of these steps, which are the first axis."""


class Descent(abc.ABC):
    """A `training.loop.Run` of gradient steps, whose states count them in `step`; batches are drawn from `data`."""

    unit = "steps"
    growing: Mapping[str, str] = {"update": "update"}
    axes: tuple[str, ...] = ()
    """Axes of a metric after that of the steps; entries are numbered from 0."""

    def __init__(self, spec: Descended, data: Any, folder: Folder) -> None:
        self.spec, self.data, self.folder = spec, data, folder
        self.steps, self.dispatch = spec.steps[-1], spec.every
        self.dispatched = jit(self._dispatched, steps=self.steps)

    @abc.abstractmethod
    def initial(self) -> State:
        """Return the state before the first gradient step."""

    @abc.abstractmethod
    def updated(self, state: State, data: Any) -> tuple[State, Metrics]:
        """Return the state after one gradient step, and the metrics of that step; traced."""

    def no_metrics(self, state: State) -> Metrics:
        """Return empty metrics for the item before the first step; tracing a step tells their names and shapes."""
        metrics = jax.eval_shape(self.updated, state, self.data)[1]
        return {name: jnp.zeros((0, *of.shape)) for name, of in metrics.items()}

    def prepared(self, state: State) -> State:
        """Return the state for the next dispatch; kinds that change it between two of them override this."""
        return state

    def items(self, start: State | None) -> Iterator[Progress]:
        """As `Run.items`."""
        state = start or jit(self.initial)()
        yield Progress(state, self.no_metrics(state))
        while (done := self.step(state)) < self.steps:
            count = min(self.dispatch, self.steps - done)
            state, metrics = self.dispatched(self.prepared(state), self.data, count)
            # Before it is saved: what goes on from a saved state has no metrics that would tell.
            if not all(np.isfinite(values).all() for values in metrics.values()):
                raise InputError(f"learning_rate: at {self.spec.learning_rate} the loss has become infinite; give less")
            yield Progress(state, metrics)

    def _dispatched(self, state: State, data: Any, count: int) -> tuple[State, Metrics]:
        """Return the state after `count` gradient steps, and the metrics of each."""
        return jax.lax.scan(lambda s, _: self.updated(s, data), state, length=count)

    def step(self, state: State) -> int:
        """As `Run.step`."""
        return int(state.step)

    def history(self, item: Progress) -> xr.Dataset:
        """Return the metrics of every gradient step of the dispatch."""
        done, metrics = self.step(item.state), {name: np.asarray(values) for name, values in item.metrics.items()}
        count, *sizes = metrics["loss"].shape
        numbered = {axis: np.arange(size) for axis, size in zip(self.axes, sizes, strict=True)}
        return xr.Dataset(
            {name: (("update", *self.axes), values) for name, values in metrics.items()},
            coords={"update": np.arange(done - count, done) + 1, **numbered},
        )

    def snapshot(self, item: Progress, path: Path) -> None:
        """Write the network, after the steps at which it is to be recorded."""
        if self.step(item.state) in self.spec.steps:
            save_state(item.state.network, path, self.folder.record)

    def summary(self, item: Progress) -> str:
        """Return the mean of every metric over the last dispatch."""
        return ", ".join(f"{name} {float(values.mean()):.4g}" for name, values in item.metrics.items() if len(values))

    def finish(self) -> None:
        """Train to the end; raise InputError if a metric becomes infinite, or as `training.loop.resumed` does."""
        for _ in shown(resumed(self, self.folder, Keep()), self):
            pass
