"""A run on disk: its states, from which a killed run goes on, and its history as it grows.

A state is one safetensors file with every array of the state, what made it (config, code, data, versions), and a
checksum of both. It appears under its name only once it is whole and on the disk; a file that is not whole is passed
over for an older one. The history is a Zarr store, chunked by dispatch so that appending never rewrites what is there.
"""

import json
import logging
import operator
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import xarray as xr
import zarr

from metaplastic.io.errors import InputError, blamed_on
from metaplastic.io.tensors import STATE, check_described, opened_safetensors, read_arrays, write_safetensors
from metaplastic.io.trees import described_leaves, named_leaves, with_leaves
from metaplastic.training.spec import Keep

STATE_NAME = re.compile(r"step-([0-9]+)\.safetensors")
State = TypeVar("State")
log = logging.getLogger(__name__)


def versions() -> dict[str, str]:
    """Return what equal bytes depend on besides config, code and data."""
    first, count = jax.devices()[0].device_kind, str(jax.device_count())
    return {"jax": version("jax"), "jaxlib": version("jaxlib"), "device": first, "devices": count}


def state_path(folder: Path, step: int) -> Path:
    """Return the file of the state after `step` steps."""
    return folder / f"step-{step:06d}.safetensors"


def saved_steps(folder: Path) -> list[int]:
    """Return the steps for which `folder` has a state, whole or not, in rising order."""
    names = (STATE_NAME.fullmatch(path.name) for path in folder.glob("step-*.safetensors"))
    return sorted(int(name[1]) for name in names if name)


def remove_old_states(folder: Path, keep: Keep, dispatch: int) -> None:
    """Remove all states but the newest and the milestones, where a dispatch has `dispatch` steps."""
    for step in saved_steps(folder)[: -keep.newest]:
        if not keep.milestones or step % (keep.milestones * dispatch):
            state_path(folder, step).unlink()


def save_state(state: Any, path: Path, record: Mapping[str, str]) -> None:
    """Write every array of `state`, PRNG keys as their data, with `record` about the run.

    Raises:
        InputError: the disk is full, or the folder cannot be written to; older files are as they were.
    """
    arrays = named_leaves(jax.tree.map(_data, state))
    prng = str(jax.random.key_impl(jax.random.key(0)))
    write_safetensors(path, arrays, {**record, "format": STATE.format, "prng": prng})


def load_state(path: Path, like: State) -> State:
    """Read a state of `save_state`, or a part of one; raise InputError if it is not whole or not shaped as `like`."""
    return _restored(path, *_whole(path), like)


def newest_state(
    folder: Path, like: State, record: Mapping[str, str], *, same: Callable[[str, str], bool] = operator.eq
) -> State | None:
    """Return the newest whole state in `folder`, if any, and log one line about each that is passed over.

    A state saved with other versions is used with a warning. `like` is a state of the same structure, or its shapes;
    `same` tells whether a saved config and that of `record` belong to one run.

    Raises:
        InputError: it belongs to another config or another structure.
    """
    for step in reversed(saved_steps(folder)):
        path = state_path(folder, step)
        try:
            arrays, header = _whole(path)
        except InputError as error:
            log.warning("%s; trying an older one", error)
            continue
        if not same(header["config"], record["config"]):
            old, new = _difference(header["config"], record["config"])
            raise InputError(f"{path}: of config {old}, this run is {new}; move {folder} out of the way")
        for name in sorted((record.keys() & header.keys()) - {"config"}):
            if record[name] != header[name]:
                saved = f"saved with {name} {header[name]}, this is {record[name]}"
                log.warning(f"WARNING: {path}: {saved}; going on, but not to the bytes of a run without a stop")
        return _restored(path, arrays, header, like)
    return None


def append_history(part: xr.Dataset, store: Path, growing: Mapping[str, str], *, dispatch: int) -> None:
    """Append what a dispatch of `dispatch` steps recorded; the first call makes the store.

    `growing` names the coordinate of steps of each dimension that grows: the first by step, others by dispatch.
    """
    if not store.exists():
        sizes: dict[Any, int] = {**part.sizes, **dict.fromkeys(growing, 1), next(iter(growing)): dispatch}
        encoding = {name: {"chunks": tuple(sizes[d] for d in v.dims)} for name, v in part.variables.items()}
        part.to_zarr(store, mode="w", consolidated=False, encoding=encoding)
        return
    for dim in growing:
        still = [name for name, variable in part.variables.items() if dim not in variable.dims]
        part.drop_vars(still).to_zarr(store, append_dim=dim, consolidated=False)


def cut_back_history(store: Path, step: int, growing: Mapping[str, str]) -> None:
    """Remove what came after `step`; raise InputError if the history ends before it."""
    try:
        arrays: dict[str, Any] = dict(zarr.open_group(store, mode="r+").arrays())
        sizes = {}
        for dim, name in growing.items():
            # An append that was killed may have left zeros at the end.
            steps = arrays[name][:]
            rising = np.diff(steps, prepend=-1) > 0
            sizes[dim] = int(np.cumprod(rising & (steps <= step)).sum())
        done = sizes[next(iter(growing))]
        if done != step:
            raise ValueError(f"it has {done} of {step} steps")
        for array in arrays.values():
            dims = array.metadata.dimension_names
            array.resize(tuple(sizes.get(dim, size) for dim, size in zip(dims, array.shape, strict=True)))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{store}: does not fit the saved states ({error}); move its folder out of the way") from error


def read_history(store: Path) -> xr.Dataset:
    """Load the history so far into memory."""
    return xr.load_dataset(store, engine="zarr", consolidated=False).drop_encoding()


def _whole(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read arrays and header of a state file; raise InputError if they are not as they were saved."""
    with opened_safetensors(path, STATE) as (file, header):
        return read_arrays(file, header), header


def _restored(path: Path, arrays: Mapping[str, np.ndarray], header: Mapping[str, str], like: State) -> State:
    template = jax.eval_shape(lambda state: jax.tree.map(_data, state), like)
    with blamed_on(path):
        check_described(described_leaves(arrays), described_leaves(template), of="this version")

    def restored(leaf: Any, saved: np.ndarray) -> jax.Array:
        array = jax.numpy.asarray(saved)
        return jax.random.wrap_key_data(array, impl=header["prng"]) if _is_key(leaf) else array

    state: State = jax.tree.map(restored, like, with_leaves(like, arrays))
    return state


def _difference(old: str, new: str) -> tuple[str, str]:
    """Cut two configs, JSON or plain names, down to the first key that differs."""
    try:
        place, pair = [], (json.loads(old), json.loads(new))
    except ValueError:
        return old, new
    while all(isinstance(part, dict) for part in pair):
        key = min(k for k in pair[0].keys() | pair[1].keys() if pair[0].get(k) != pair[1].get(k))
        place.append(key)
        pair = pair[0].get(key), pair[1].get(key)
    name = ".".join(place)
    return f"{name} {json.dumps(pair[0])}", f"{name} {json.dumps(pair[1])}"


def _is_key(leaf: Any) -> bool:
    return bool(jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _data(leaf: jax.Array) -> jax.Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf
