"""The history of a run, whose appends may be killed."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from metaplastic.training.checkpoint import append_history, cut_back_history, read_history
from refusals import refused
from zarr.storage import LocalStore

GROWING = {"step": "step", "evaluation": "evaluation_step"}


class Killed(BaseException):
    """What no code of ours catches."""


def dispatch(end: int) -> xr.Dataset:
    """Two steps and the evaluation after them."""
    steps = np.arange(end - 1, end + 1)
    return xr.Dataset(
        {"loss": ("step", 1 / steps), "accuracy": (("dataset", "evaluation"), np.full((3, 1), end / 10))},
        {"step": steps, "evaluation_step": ("evaluation", [end])},
    )


def kill_at_write(patch: pytest.MonkeyPatch, write: int) -> None:
    writes, whole = count(), LocalStore.set

    async def counted(store: LocalStore, *rest: object) -> None:
        if next(writes) == write:
            raise Killed
        await whole(store, *rest)

    patch.setattr(LocalStore, "set", counted)


def test_an_append_that_is_killed_at_any_of_its_writes_is_forgotten(tmp_path: Path) -> None:
    for write in count():
        store = tmp_path / str(write)
        append_history(dispatch(2), store, GROWING, dispatch=2)
        with pytest.MonkeyPatch.context() as patch:
            kill_at_write(patch, write)
            try:
                append_history(dispatch(4), store, GROWING, dispatch=2)
            except Killed:
                pass
            else:
                break
        cut_back_history(store, 2, GROWING)
        xr.testing.assert_equal(read_history(store), dispatch(2))
        append_history(dispatch(4), store, GROWING, dispatch=2)
        np.testing.assert_array_equal(read_history(store)["step"], [1, 2, 3, 4])
        np.testing.assert_array_equal(read_history(store)["evaluation_step"], [2, 4])
        np.testing.assert_array_equal(read_history(store)["accuracy"], [[0.2, 0.4]] * 3)
    assert write > 5, "an append writes sizes and values of every array that grows"


def test_a_history_that_ends_before_its_state_is_refused(tmp_path: Path) -> None:
    append_history(dispatch(2), tmp_path / "store", GROWING, dispatch=2)
    message = refused(cut_back_history, tmp_path / "store", 4, GROWING)
    assert "store: does not fit the saved states (it has 2 of 4 steps); move its folder" in message
