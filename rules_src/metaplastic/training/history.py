"""The history of a run as it grows: a Zarr store that dispatches are appended to, and a stopped run is cut back in.

Every array is chunked by dispatch, so that appending never rewrites what is there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from metaplastic.io.errors import InputError


def append(part: xr.Dataset, store: Path, growing: Mapping[str, str], *, dispatch: int) -> None:
    """Add what a dispatch of so many steps left; the first one makes the store.

    `growing` maps each dimension that grows to its coordinate of steps; the first one has an entry for every step, the
    others one for each dispatch.
    """
    if not store.exists():
        every, *others = growing
        sizes: dict[Any, int] = {**part.sizes, every: dispatch, **dict.fromkeys(others, 1)}
        encoding = {name: {"chunks": tuple(sizes[d] for d in v.dims)} for name, v in part.variables.items()}
        part.to_zarr(store, mode="w", consolidated=False, encoding=encoding)
        return
    for dim in growing:
        still = [name for name, variable in part.variables.items() if dim not in variable.dims]
        part.drop_vars(still).to_zarr(store, append_dim=dim, consolidated=False)


def cut_back(store: Path, step: int, growing: Mapping[str, str]) -> None:
    """Forget what came after `step`.

    Raises:
        InputError: the history ends before it.
    """
    try:
        arrays: dict[str, Any] = dict(zarr.open_group(store, mode="r+").arrays())
        sizes = {dim: _until(step, arrays[name][:]) for dim, name in growing.items()}
        every = next(iter(growing))
        if sizes[every] != step:
            raise ValueError(f"it has {sizes[every]} of {step} steps")
        for array in arrays.values():
            dims = array.metadata.dimension_names
            array.resize(tuple(sizes.get(dim, size) for dim, size in zip(dims, array.shape, strict=True)))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{store}: does not fit the saved states ({error}); move its folder out of the way") from error


def _until(step: int, steps: np.ndarray) -> int:
    """Entries up to `step`; an append that was killed may have left zeros after them."""
    rising = np.diff(steps, prepend=-1) > 0
    return int(np.cumprod(rising & (steps <= step)).sum())


def read(store: Path) -> xr.Dataset:
    """All of it so far, in memory."""
    with xr.open_zarr(store, consolidated=False) as dataset:
        return dataset.load().drop_encoding()
