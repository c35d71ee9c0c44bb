"""Theta on disk: one safetensors file, its arrays named by the rule's structure, with the rule's config in its header.

Files may come from strangers. The format holds numbers only; its header is bounded, and the library checks it against
the file's size. The config is validated like any other, including sizes, before a rule is made from it. Names, shapes
and types are compared with those of the rule, which is not allocated, before any array is read. A checksum in the
header, of arrays and config, reveals later changes.
"""

import json
import logging
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
from metaplastic.io.jax_settings import own_numbers, seed_key
from metaplastic.io.tensors import checksum, described, header_size, opened_safetensors, write_safetensors
from metaplastic.io.trees import named_leaves
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Initial, Learned

FORMAT = "metaplastic-theta-1"
HEADER = {"format", "rule", "sha256"}
"""Keys of the header; files of earlier versions lack the checksum."""
LARGEST_FILE = 64 * 2**20
"""Largest size in bytes; the published rule takes 0.5 MB."""
LARGEST_HEADER = 2**18
"""Largest size in bytes of the header's JSON; the published rule takes 5 kB."""

log = logging.getLogger(__name__)


def save_theta(rule: UpdateRule, path: Path, *, spec: dict[str, Any]) -> None:
    """Write the array leaves of `rule`, in single precision, and its config `spec`."""
    arrays = {name: np.array(leaf, np.float32, order="C") for name, leaf in named_leaves(rule).items()}
    write_safetensors(path, arrays, {"format": FORMAT, "rule": json.dumps(spec, sort_keys=True)})


@own_numbers()
def built_rule(spec: Initial, key: PRNGKeyArray) -> Any:
    """Build the rule that `spec` describes; draw a learned rule's initial theta from `key`."""
    # The workflow's fingerprints cannot see this import, so they name the module as a root of its own.
    return import_module(spec.module).build(spec, key)


def initial_rule(spec: Initial) -> Any:
    """Build the rule that `spec` describes; draw a learned rule's initial theta from key 0."""
    return built_rule(spec, seed_key(0))


def first_keys(seed: int) -> tuple[PRNGKeyArray, PRNGKeyArray]:
    """Return the keys from which a meta-training run of this seed draws its initial theta and its held-out probe."""
    return tuple(jax.random.split(jax.random.fold_in(seed_key(seed), 1)))


@own_numbers()
def trained_rule(path: Path) -> tuple[Learned, Any]:
    """Return the config and the rule of a theta file, which may come from anyone; the file is opened once for both.

    A file without a checksum is read with a warning.

    Raises:
        InputError: the file is not a theta file, its config does not describe a learned rule, its arrays belong to
            another rule, it has changed since it was written, or it holds numbers that are not finite.
    """
    with _opened(path) as file:
        metadata = dict(file.metadata() or {})
        if metadata.get("format") != FORMAT:
            raise InputError(f"{path}: not a theta file: its header has no format {FORMAT!r}")
        spec: Learned = parse_spec(Learned, json.dumps(dict(json.loads(metadata["rule"]))), str(path))
        template = eqx.filter_eval_shape(lambda: initial_rule(spec))
        expected = {name: described(leaf.dtype.name, leaf.shape) for name, leaf in named_leaves(template).items()}
        found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        if found.keys() != expected.keys():
            first = min(found.keys() ^ expected.keys())
            kind = "lacks" if first in expected else "has the unknown"
            raise InputError(f"{path}: {kind} array {first!r}; the file belongs to another rule or version")
        for name, array in found.items():
            description = described(array.get_dtype(), array.get_shape())
            if description != expected[name]:
                raise InputError(f"{path}: {name} is {description}, the rule has {expected[name]}")
        arrays = {name: file.get_tensor(name) for name in expected}
        if unknown := metadata.keys() - HEADER:
            raise InputError(f"{path}: its header has the unknown key {min(unknown)!r}; fetch or write it again")
        sha256 = metadata.pop("sha256", None)
        if sha256 is None:
            log.warning("%s: of an earlier version, without a checksum; damage to it would not be noticed", path)
        elif sha256 != checksum(arrays, metadata):
            raise InputError(f"{path}: changed since it was written; fetch or write it again")
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise InputError(f"{path}: {name} holds numbers that are not finite; take an earlier snapshot")
    leaves = [jax.numpy.asarray(arrays[name]) for name in expected]
    return spec, jax.tree.unflatten(jax.tree.structure(template), leaves)


def _opened(path: Path) -> AbstractContextManager[Any]:
    """Open the file; any fault in it, found here or while the caller reads, becomes an error of one line."""

    def refused(reason: object) -> InputError:
        return InputError(f"{path}: not a readable theta file ({reason}); meta-train or fetch it again")

    if not path.is_file():
        raise InputError(f"{path}: missing; meta-train or fetch it first")
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path}: {path.stat().st_size} bytes; theta files have at most {LARGEST_FILE}")
    if (header := header_size(path)) > LARGEST_HEADER:
        raise refused(f"a header of {header} bytes; theta files have at most {LARGEST_HEADER}")
    return opened_safetensors(path, refused=refused)
