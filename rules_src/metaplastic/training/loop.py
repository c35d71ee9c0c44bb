"""The one loop of every training that may be killed: it leaves in a folder all it takes to go on.

What is trained, and how, is a `Run`: meta-training, neural embeddings and few-shot learners are each one.
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
from metaplastic.training import history
from metaplastic.training.checkpoint import load_state, newest_state, remove_old_states, save_state, state_path
from metaplastic.training.launch import from_first, is_first
from metaplastic.training.lock import locked
from metaplastic.training.spec import Keep

HISTORY = "history.zarr"
SNAPSHOTS = "snapshots"
SECONDS = "seconds"
"""Names within the folder of a run."""
NOTHING = -1
"""Steps of no state."""


@runtime_checkable
class Item(Protocol):
    """What a run yields after each dispatch of steps, and once before the first of them."""

    @property
    def state(self) -> Any:
        """Everything that the next step depends on: equal states have equal futures."""


I = TypeVar("I", bound=Item)  # noqa: E741


@runtime_checkable
class Run(Protocol[I]):
    """What the loop has to know of a training."""

    unit: str
    """What a step is called, in the plural."""
    steps: int
    """Of the whole run."""
    dispatch: int
    """Steps between two items; the last ones may be fewer."""
    growing: Mapping[str, str]
    """Dimensions along which the history grows, each with the coordinate that says at which step; first that which has
    an entry for every step."""

    def initial(self) -> Any:
        """The state before the first step."""

    def items(self, start: Any | None) -> Iterator[I]:
        """One item before the first step and one after each dispatch; from the state `start` on, if there is one."""

    def step(self, state: Any) -> int:
        """Steps that a state has behind it."""

    def history(self, item: I) -> xr.Dataset:
        """What the dispatch adds to the history."""

    def snapshot(self, item: I, path: Path) -> None:
        """Write what the run is for, as it is now, to one file."""

    def summary(self, item: I) -> str:
        """How well it does, for those who watch."""


class Folder(NamedTuple):
    """Where a run keeps what it needs to go on."""

    path: Path
    record: Mapping[str, str]
    """What the run is of, its config as `config`; see `state.versions`."""
    same: Callable[[str, str], bool] = operator.eq
    """Whether the configs of two records, the older one first, are those of one run."""


def resumed(run: Run[I], folder: Folder, keep: Keep) -> Iterator[I]:
    """The items of `run`, from the newest state in `folder` on if there is one; the first is what it goes on from.

    Each item is on the disk before it is yielded: first its history, then its snapshot, last its state, so that a
    state never claims more than is there. Until the last one the folder is locked.

    Raises:
        InputError: the folder is of another run, in use by another process or cannot be written to.
    """
    with locked(folder.path):
        yield from _resumed(run, folder, keep)


def _resumed(run: Run[I], folder: Folder, keep: Keep) -> Iterator[I]:
    start = _start(run, folder)
    items, before, begin = run.items(start), spent(folder) if start is not None else 0.0, time.monotonic()
    if start is not None:
        yield next(items)
    for item in items:
        try:
            if is_first():
                _keep(item, run, folder, keep)
                _note_seconds(folder, before + time.monotonic() - begin)
        except OSError as error:
            raise InputError(
                f"{folder.path}: cannot be saved: {error.strerror or error}; run again to go on"
            ) from error
        yield item


def _start(run: Run[I], folder: Folder) -> Any | None:
    """The state that the folder holds, if any, to which its history is cut back; the same in every process."""
    like, store = jax.eval_shape(run.initial), folder.path / HISTORY
    if not is_first():
        step = from_first(NOTHING)
        return None if step == NOTHING else load_state(state_path(folder.path, step), like)
    start = newest_state(folder.path, like, folder.record, same=folder.same)
    if start is None:
        remove(store)
    else:
        history.cut_back(store, run.step(start), run.growing)
    from_first(NOTHING if start is None else run.step(start))
    return start


def spent(folder: Folder) -> float:
    """Seconds that earlier processes have spent on the run in `folder`, until each of its last items."""
    file = folder.path / SECONDS
    return float(file.read_text()) if file.exists() else 0.0


def _note_seconds(folder: Folder, seconds: float) -> None:
    fresh = folder.path / f".{SECONDS}"
    fresh.write_text(f"{seconds:.2f}")
    fresh.replace(folder.path / SECONDS)


def _keep(item: I, run: Run[I], folder: Folder, keep: Keep) -> None:
    done = run.step(item.state)
    dispatches, last = -(-done // run.dispatch), done == run.steps
    history.append(run.history(item), folder.path / HISTORY, run.growing, dispatch=run.dispatch)
    if keep.snapshots and (last or dispatches % keep.snapshots == 0):
        run.snapshot(item, state_path(folder.path / SNAPSHOTS, done))
    if last or dispatches % keep.every == 0:
        save_state(item.state, state_path(folder.path, done), folder.record)
        remove_old_states(folder.path, keep, run.dispatch)
