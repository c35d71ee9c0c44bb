"""Training by Adam, each batch given by the seed and the step: of networks that embed, and of few-shot learners."""

import abc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int

from metaplastic.io.errors import InputError
from metaplastic.training.checkpoint import save_state
from metaplastic.training.loop import Folder, resumed
from metaplastic.training.progress import shown
from metaplastic.training.spec import Descended, Keep

Metrics = dict[str, Float[Array, "*axis"]]
"""The loss and what else is told of a gradient step, by name; all of one shape."""


@runtime_checkable
class Stepped(Protocol):
    """Everything that the next gradient step depends on."""

    @property
    def step(self) -> Int[Array, ""]:
        """Gradient steps so far."""


class Progress(NamedTuple):
    """A training after a dispatch of gradient steps."""

    state: Any
    metrics: Metrics
    """Of each of these steps, which are the first axis."""


class Descent(abc.ABC):
    """A `training.run.Run` of gradient steps.

    Args:
        spec: how long it takes, and after which steps it is recorded.
        data: the arrays that batches are drawn from.
        folder: where it lies.
    """

    unit = "steps"
    growing: Mapping[str, str] = {"update": "update"}
    axes: tuple[str, ...] = ()
    """Of a metric besides that of the steps; entries are numbered from 0."""

    def __init__(self, spec: Descended, data: Any, folder: Folder) -> None:
        self.spec, self.data, self.folder = spec, data, folder
        self.steps, self.dispatch = spec.steps[-1], spec.every

    @abc.abstractmethod
    def initial(self) -> Stepped:
        """The state before the first gradient step."""

    @abc.abstractmethod
    def updated(self, state: Any, data: Any) -> tuple[Any, Metrics]:
        """The state after one gradient step; traced."""

    @abc.abstractmethod
    def network(self, state: Any) -> Any:
        """What of a state is recorded."""

    @abc.abstractmethod
    def no_metrics(self, state: Any) -> Metrics:
        """Those of no step at all, to go on from a state."""

    def prepared(self, state: Any) -> Any:
        """The state that a dispatch starts from, where something has to be done between two of them."""
        return state

    def items(self, start: Any | None) -> Iterator[Progress]:
        """As `Run.items`."""
        state = start or jax.jit(self.initial)()
        yield Progress(state, self.no_metrics(state))
        while (done := self.step(state)) < self.steps:
            count = min(self.dispatch, self.steps - done)
            state, metrics = self.dispatched(self.prepared(state), self.data, count)
            yield Progress(state, metrics)

    @eqx.filter_jit
    def dispatched(self, state: Any, data: Any, count: int) -> tuple[Any, Metrics]:
        """The state after `count` gradient steps, and the metrics of each."""
        return jax.lax.scan(lambda s, _: self.updated(s, data), state, length=count)

    def step(self, state: Stepped) -> int:
        """Gradient steps so far."""
        return int(state.step)

    def history(self, item: Progress) -> xr.Dataset:
        """The metrics of every gradient step of the dispatch."""
        done, metrics = self.step(item.state), {name: np.asarray(values) for name, values in item.metrics.items()}
        count, *sizes = metrics["loss"].shape
        numbered = {axis: np.arange(size) for axis, size in zip(self.axes, sizes, strict=True)}
        return xr.Dataset(
            {name: (("update", *self.axes), values) for name, values in metrics.items()},
            coords={"update": np.arange(done - count, done) + 1, **numbered},
        )

    def snapshot(self, item: Progress, path: Path) -> None:
        """The network, after the steps that it is to be recorded after."""
        if self.step(item.state) in self.spec.steps:
            save_state(self.network(item.state), path, self.folder.record)

    def summary(self, item: Progress) -> str:
        """The mean of every metric over the last dispatch."""
        return ", ".join(f"{name} {float(values.mean()):.4g}" for name, values in item.metrics.items() if len(values))

    def finish(self) -> None:
        """Train until the end, from where the folder has come to.

        Raises:
            InputError: a metric has become infinite, or as for `training.run.resumed`.
        """
        rate = self.spec.learning_rate
        for item in shown(resumed(self, self.folder, Keep()), self):
            if not all(np.isfinite(values).all() for values in item.metrics.values()):
                raise InputError(f"learning_rate: at {rate} the loss has become infinite; give less")
