"""The state of a run on disk: one safetensors file for each step that a killed run may go on from.

A file holds every array of the state, what the run is of (config, code, data, versions), and a checksum of both. It
appears under its name only once it is whole and on the disk; a file that is not whole is passed over for an older one.
"""

import json
import logging
import operator
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from metaplastic.io.errors import InputError
from metaplastic.io.storage import checksum, opened_safetensors, safetensors_bytes, write_whole
from metaplastic.training.spec import Keep

FORMAT = "metaplastic-state-1"
State = TypeVar("State")
log = logging.getLogger(__name__)


def versions() -> dict[str, str]:
    """What equal bytes depend on besides config, code and data."""
    devices = jax.devices()
    kind = devices[0].device_kind
    return {"jax": version("jax"), "jaxlib": version("jaxlib"), "device": kind, "devices": str(len(devices))}


def state_path(folder: Path, step: int) -> Path:
    """File of the state after so many steps."""
    return folder / f"step-{step:06d}.safetensors"


def save_state(state: Any, path: Path, record: Mapping[str, str]) -> None:
    """Write every array of `state`, PRNG keys as their data, with `record` about the run.

    Raises:
        InputError: the disk is full, or the folder cannot be written to; older files are as they were.
    """
    arrays = {name: np.array(leaf, order="C") for name, leaf in _named_leaves(jax.tree.map(_data, state))}
    header = {**record, "format": FORMAT, "prng": str(jax.random.key_impl(jax.random.key(0)))}
    content = safetensors_bytes(arrays, {**header, "sha256": checksum(arrays, header)})
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def newest_state(
    folder: Path, like: State, record: Mapping[str, str], *, same: Callable[[str, str], bool] = operator.eq
) -> State | None:
    """The newest whole state in `folder`, if any; one line is said about each that is passed over.

    A state saved with other versions is taken, but not silently: a run that goes on from it will not end with the
    bytes of one that was never stopped. `like` is a state, or the shapes of one, that it has to have the structure of;
    `same` says whether a saved config and that of `record` are those of one run.

    Raises:
        InputError: it belongs to another config or another structure.
    """
    for step in sorted(saved_steps(folder), reverse=True):
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
                log.warning(
                    f"WARNING: {path}: saved with {name} {header[name]}, this is {record[name]}; "
                    "going on, but not to the bytes of a run without a stop"
                )
        return _restored(path, arrays, header, like)
    return None


def load_state(path: Path, like: State) -> State:
    """The state in a file of `save_state`, or part of one, of the structure of `like`.

    Raises:
        InputError: it is not whole, or has another structure.
    """
    arrays, header = _whole(path)
    return _restored(path, arrays, header, like)


def saved_steps(folder: Path) -> list[int]:
    """Steps that `folder` has a state of, whole or not, from old to new."""
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.safetensors"))


def remove_old_states(folder: Path, keep: Keep, dispatch: int) -> None:
    """Remove all states but the newest and the milestones; `dispatch` is the number of steps in one."""
    old = saved_steps(folder)[: -keep.newest]
    for step in old:
        if not keep.milestones or step % (keep.milestones * dispatch):
            state_path(folder, step).unlink()


def _whole(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and header of a state file, as they were saved.

    Raises:
        InputError: they are not.
    """
    with opened_safetensors(
        path, refused=lambda reason: InputError(f"{path}: not a readable state ({reason})")
    ) as file:
        header = dict(file.metadata() or {})
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = header.pop("sha256", None)
    if expected != checksum(arrays, header) or header["format"] != FORMAT:
        raise InputError(f"{path}: truncated or changed since it was saved")
    return arrays, header


def _restored(path: Path, arrays: Mapping[str, np.ndarray], header: Mapping[str, str], like: State) -> State:
    template = jax.eval_shape(lambda state: jax.tree.map(_data, state), like)
    expected = {name: _described(leaf) for name, leaf in _named_leaves(template)}
    found = {name: _described(array) for name, array in arrays.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InputError(f"{path}: {name} is {found.get(name)}, this version has {expected.get(name)}")

    def restored(name: str, leaf: Any) -> jax.Array:
        values = jax.numpy.asarray(arrays[name])
        return jax.random.wrap_key_data(values, impl=header["prng"]) if _is_key(leaf) else values

    state: State = jax.tree.unflatten(jax.tree.structure(like), [restored(*named) for named in _named_leaves(like)])
    return state


def _difference(old: str, new: str) -> tuple[str, str]:
    """Two configs, JSON or plain names, cut down to the first key that differs."""
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


def _described(array: Any) -> str:
    return f"{array.dtype.name}{list(array.shape)}"


def _is_key(leaf: Any) -> bool:
    return bool(jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _data(leaf: jax.Array) -> jax.Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _named_leaves(state: Any) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return [(jax.tree_util.keystr(place, simple=True, separator="."), leaf) for place, leaf in leaves]
