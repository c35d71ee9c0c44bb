"""Theta on disk: one safetensors file, named by the rule's own structure, with the rule's config in its header.

Files may come from strangers. The format holds numbers only; its header is bounded, and the library checks it against
the file's size. The config in it is validated like any other, sizes included, before a rule is made from it; names,
shapes and types are compared with the rule's, which is not allocated, before any array is read. A checksum of both in
the header tells what has changed since it was written.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from metaplastic.config.base import parse_spec
from metaplastic.io.errors import InputError
from metaplastic.io.storage import checksum, opened_safetensors, safetensors_bytes, write_whole
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Initial, Learned, Untrained

FORMAT = "metaplastic-theta-1"
HEADER = {"format", "rule", "sha256"}
"""Keys of the header; files of earlier versions lack the last one."""
LARGEST_FILE = 64 * 2**20
"""Bytes; theta of the published rule takes 0.5 MB."""
LARGEST_HEADER = 2**18
"""Bytes of the header's JSON; that of the published rule takes 5 kB."""

log = logging.getLogger(__name__)


def save_theta(rule: UpdateRule, path: Path, *, spec: dict[str, Any]) -> None:
    """Write the array leaves of `rule`, and `spec`, the config that `build` makes such a rule from."""
    arrays = {name: np.array(leaf, order="C") for name, leaf in _named_leaves(rule)}
    metadata = {"format": FORMAT, "rule": json.dumps(spec, sort_keys=True)}
    content = safetensors_bytes(arrays, {**metadata, "sha256": checksum(arrays, metadata)})
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def built_rule(spec: Initial, key: PRNGKeyArray) -> Any:
    """The rule that `spec` describes, learned ones at an initial theta drawn from `key`."""
    # Imported by name, and declared to the workflow's fingerprints as a root of its own.
    return import_module(spec.module).build(spec, key)


def initial_rule(spec: Initial) -> UpdateRule:
    """The rule that `spec` describes, learned ones at their initial theta of key 0."""
    rule: UpdateRule = built_rule(spec, jax.random.key(0))
    return rule


def first_keys(seed: int) -> tuple[PRNGKeyArray, PRNGKeyArray]:
    """From what a meta-training run of this seed draws the theta that it starts from, and what it watches."""
    key_theta, key_probe = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1))
    return key_theta, key_probe


def untrained_rules(spec: Untrained) -> list[UpdateRule]:
    """The rule at each of its initial thetas."""
    return [built_rule(spec.rule, first_keys(seed)[0]) for seed in range(spec.seeds)]


def trained_rule(path: Path) -> tuple[Learned, Any]:
    """The rule of a theta file that may come from anyone, and its config; both of the file as it was when opened.

    Raises:
        InputError: see `read_spec` and `load_theta`; or its config is no valid one of a learned rule.
    """
    with _opened(path) as file:
        spec: Learned = parse_spec(Learned, json.dumps(_spec(path, file)), str(path))
        return spec, _theta(path, file, lambda: initial_rule(spec))


def read_spec(path: Path) -> dict[str, Any]:
    """The config of the rule in a theta file, as it stands there.

    Raises:
        InputError: no theta file.
    """
    with _opened(path) as file:
        return _spec(path, file)


def load_theta(path: Path, build: Callable[[], UpdateRule]) -> UpdateRule:
    """The rule that `build` makes, with the theta of a file; one line is said about a file without a checksum.

    Raises:
        InputError: the file is no theta file, belongs to another rule, has changed since it was written, or holds
            numbers that are not finite.
    """
    with _opened(path) as file:
        return _theta(path, file, build)


def _spec(path: Path, file: Any) -> dict[str, Any]:
    metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path}: not a theta file: its header has no format {FORMAT!r}")
    return dict(json.loads(metadata["rule"]))


def _theta(path: Path, file: Any, build: Callable[[], UpdateRule]) -> UpdateRule:
    template = eqx.filter_eval_shape(build)
    expected = {name: _described(leaf.dtype.name, leaf.shape) for name, leaf in _named_leaves(template)}
    found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    _compare_names(path, set(found), set(expected))
    for name, array in found.items():
        description = _described(array.get_dtype(), array.get_shape())
        if description != expected[name]:
            raise InputError(f"{path}: {name} is {description}, the rule has {expected[name]}")
    arrays = {name: file.get_tensor(name) for name in expected}
    _check_sum(path, arrays, dict(file.metadata() or {}))
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {name} holds numbers that are not finite; take an earlier snapshot")
    return jax.tree_util.tree_map_with_path(lambda place, _: jax.numpy.asarray(arrays[_name(place)]), template)


def _opened(path: Path) -> AbstractContextManager[Any]:
    """The open file; whatever is wrong with it, here or in what is done with it, becomes one line."""

    def refused(reason: object) -> InputError:
        return InputError(f"{path}: not a readable theta file ({reason}); meta-train or fetch it again")

    if not path.is_file():
        raise InputError(f"{path}: missing; meta-train or fetch it first")
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path}: {path.stat().st_size} bytes; theta files have at most {LARGEST_FILE}")
    with path.open("rb") as raw:
        header = int.from_bytes(raw.read(8), "little")
    if header > LARGEST_HEADER:
        raise refused(f"a header of {header} bytes; theta files have at most {LARGEST_HEADER}")
    return opened_safetensors(path, refused=refused)


def _check_sum(path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    if unknown := metadata.keys() - HEADER:
        raise InputError(f"{path}: its header has the unknown key {min(unknown)!r}; fetch or write it again")
    expected = metadata.pop("sha256", None)
    if expected is None:
        log.warning("%s: of an earlier version, without a checksum; damage to it would not be noticed", path)
    elif expected != checksum(arrays, metadata):
        raise InputError(f"{path}: changed since it was written; fetch or write it again")


def _described(dtype: str, shape: Sequence[int]) -> str:
    """Such as float32[3, 2], whether `dtype` is in the words of the format or of NumPy."""
    return f"{re.sub('^F(?=[0-9])', 'float', dtype)}{list(shape)}"


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
