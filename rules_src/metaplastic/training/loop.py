"""The one loop of every training that may be killed: it leaves in a folder all that it takes to go on.

What is trained, and how, is a `Run`: meta-training, neural embeddings and few-shot learners are runs.
"""

import operator
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import xarray as xr

from metaplastic.io.errors import InputError
from metaplastic.io.storage import remove
from metaplastic.training import checkpoint
from metaplastic.training.checkpoint import state_path
from metaplastic.training.launch import from_first, is_first, locked
from metaplastic.training.spec import Keep

HISTORY = "history.zarr"
SNAPSHOTS = "snapshots"
SECONDS = "seconds"
"""Names within the folder of a run."""


@runtime_checkable
class Item(Protocol):
    """What a run yields before its first step and after each dispatch of steps."""

    @property
    def state(self) -> Any:
        """Everything that the next step depends on: equal states have equal futures."""


I = TypeVar("I", bound=Item)  # noqa: E741


@runtime_checkable
class Run(Protocol[I]):
    """What the loop has to know of a training."""

    unit: str
    """Name of a step, in the plural."""
    steps: int
    """Steps of the whole run."""
    dispatch: int
    """Steps between two items; the last dispatch may have fewer."""
    growing: Mapping[str, str]
    """Dimensions along which the history grows, each with its coordinate of steps; the first has an entry per step."""

    def initial(self) -> Any:
        """Return the state before the first step."""

    def items(self, start: Any | None) -> Iterator[I]:
        """Yield an item before the first step and after each dispatch; begin at the state `start` if it is given."""

    def step(self, state: Any) -> int:
        """Return the number of steps that led to a state."""

    def history(self, item: I) -> xr.Dataset:
        """Return what the dispatch adds to the history."""

    def snapshot(self, item: I, path: Path) -> None:
        """Write the present result of the run to one file."""

    def summary(self, item: I) -> str:
        """Return how well the run does, for those who watch."""


class Folder(NamedTuple):
    """Where a run keeps what it needs to go on."""

    path: Path
    record: Mapping[str, str]
    """What makes the run: its config as `config`, and its code, data and versions; see `checkpoint.versions`."""
    same: Callable[[str, str], bool] = operator.eq
    """Tells whether the configs of two records, the older one first, belong to one run."""


def resumed(run: Run[I], folder: Folder, keep: Keep) -> Iterator[I]:
    """Yield the items of `run`, beginning at the newest state in `folder` if there is one.

    Each item is on the disk before it is yielded: first its history, then its snapshot, last its state, so that a
    state never claims more than is there. The folder stays locked until the last item.

    Raises:
        InputError: the folder belongs to another run, is in use by another process or cannot be written to.
    """
    with locked(folder.path):
        start = _start(run, folder)
        items, before, begin = run.items(start), spent(folder) if start is not None else 0.0, time.monotonic()
        if start is not None:
            yield next(items)
        for item in items:
            try:
                if is_first():
                    _keep(item, run, folder, keep)
                    fresh = folder.path / f".{SECONDS}"
                    fresh.write_text(f"{before + time.monotonic() - begin:.2f}")
                    fresh.replace(folder.path / SECONDS)
            except OSError as error:
                reason = error.strerror or error
                raise InputError(f"{folder.path}: cannot be saved: {reason}; run again to go on") from error
            yield item


def spent(folder: Folder) -> float:
    """Return the seconds that earlier processes spent on the run in `folder`, each until its last item."""
    file = folder.path / SECONDS
    return float(file.read_text()) if file.exists() else 0.0


def _start(run: Run[I], folder: Folder) -> Any | None:
    """Return the saved state, if any and the same in every process, and cut the history back to it."""
    like, store = jax.eval_shape(run.initial), folder.path / HISTORY
    if not is_first():
        step = from_first(-1)
        return None if step < 0 else checkpoint.load_state(state_path(folder.path, step), like)
    start = checkpoint.newest_state(folder.path, like, folder.record, same=folder.same)
    if start is None:
        remove(store)
    else:
        checkpoint.cut_back_history(store, run.step(start), run.growing)
    from_first(-1 if start is None else run.step(start))
    return start


def _keep(item: I, run: Run[I], folder: Folder, keep: Keep) -> None:
    done = run.step(item.state)
    dispatches, last = -(-done // run.dispatch), done == run.steps
    checkpoint.append_history(run.history(item), folder.path / HISTORY, run.growing, dispatch=run.dispatch)
    if last or (keep.snapshots and dispatches % keep.snapshots == 0):
        run.snapshot(item, state_path(folder.path / SNAPSHOTS, done))
    if last or dispatches % keep.every == 0:
        checkpoint.save_state(item.state, state_path(folder.path, done), folder.record)
        checkpoint.remove_old_states(folder.path, keep, run.dispatch)
