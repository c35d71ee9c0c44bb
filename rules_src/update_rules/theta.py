"""Theta on disk: one safetensors file, named by the rule's own structure, with the rule's config in its header.

Files may come from strangers. The format holds numbers only, the library checks its header against the file's size,
and its names are compared with the rule's before any array is read.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from rules_src.errors import InputError
from rules_src.storage import write_whole
from rules_src.update_rules.base import UpdateRule

FORMAT = "metaplastic-theta-1"
LARGEST_FILE = 64 * 2**20
"""Bytes; theta of the published rule takes 0.5 MB."""


def save_theta(rule: UpdateRule, path: Path, *, spec: dict[str, Any]) -> None:
    """Write the array leaves of `rule`, and `spec`, the config that `build` makes such a rule from."""
    arrays = {name: np.array(leaf, order="C") for name, leaf in _named_leaves(rule)}
    metadata = {"format": FORMAT, "rule": json.dumps(spec, sort_keys=True)}
    write_whole(path, lambda temporary: save_file(arrays, temporary, metadata))


def read_spec(path: Path) -> dict[str, Any]:
    """The config of the rule in a theta file.

    Raises:
        InputError: no theta file.
    """
    _check_size(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise InputError(f"{path}: not a theta file: its header has no format {FORMAT!r}")
        return dict(json.loads(metadata["rule"]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a readable theta file ({error}); meta-train or fetch it again") from error


def load_theta(path: Path, build: Callable[[], UpdateRule]) -> UpdateRule:
    """The rule that `build` makes, with the theta of a file.

    Raises:
        InputError: the file is no theta file, belongs to another rule, or holds numbers that are not finite.
    """
    _check_size(path)
    template = eqx.filter_eval_shape(build)
    expected = {name: (tuple(leaf.shape), np.dtype(leaf.dtype)) for name, leaf in _named_leaves(template)}
    try:
        with safe_open(path, framework="numpy") as file:
            _compare_names(path, set(file.keys()), set(expected))
            arrays = {name: file.get_tensor(name) for name in expected}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable theta file ({error}); meta-train or fetch it again") from error
    for name, array in arrays.items():
        if (array.shape, array.dtype) != expected[name]:
            shape, dtype = expected[name]
            raise InputError(f"{path}: {name} is {array.dtype}{list(array.shape)}, the rule has {dtype}{list(shape)}")
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {name} holds numbers that are not finite; take an earlier snapshot")
    return jax.tree_util.tree_map_with_path(lambda place, _: jax.numpy.asarray(arrays[_name(place)]), template)


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: missing; meta-train or fetch it first")
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path}: {path.stat().st_size} bytes; theta files have at most {LARGEST_FILE}")


def _compare_names(path: Path, found: set[str], expected: set[str]) -> None:
    if found != expected:
        first = min(found ^ expected)
        kind = "lacks" if first in expected else "has the unknown"
        raise InputError(f"{path}: {kind} array {first!r}; the file belongs to another rule or version")


def _named_leaves(rule: Any) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(rule)
    return [(_name(place), leaf) for place, leaf in leaves]


def _name(place: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(place, simple=True, separator=".")
