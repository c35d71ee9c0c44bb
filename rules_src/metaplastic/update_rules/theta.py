"""Theta on disk: one safetensors file, its arrays named by the rule's structure, with the rule's config in its header.

Files may come from strangers (`io.tensors`). The config is validated like any other, sizes included, and the rule that
it describes tells names, shapes and types without being allocated.
"""

import json
import logging
from importlib import import_module
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from metaplastic.config.base import parse_spec
from metaplastic.io import tensors
from metaplastic.io.jax_settings import own_numbers, seed_key
from metaplastic.io.trees import described_leaves, named_leaves, with_leaves
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Initial, Learned

FORMAT = "metaplastic-theta-1"
HEADER = {"format", "rule", "sha256"}
"""Keys of the header; files of earlier versions lack the checksum."""
# The published rule takes 0.5 MB, and 5 kB of these are its header.
THETA = tensors.Sort("theta file", "meta-train or fetch it", FORMAT, largest=2**26, largest_header=2**18)

log = logging.getLogger(__name__)


def save_theta(rule: UpdateRule, path: Path, *, spec: dict[str, Any]) -> None:
    """Write the array leaves of `rule`, in single precision, and its config `spec`."""
    arrays = {name: np.asarray(leaf, np.float32) for name, leaf in named_leaves(rule).items()}
    tensors.write_safetensors(path, arrays, {"format": FORMAT, "rule": json.dumps(spec, sort_keys=True)})


@own_numbers()
def built_rule(spec: Initial, key: PRNGKeyArray) -> Any:
    """Build the rule that `spec` describes; draw a learned rule's initial theta from `key`."""
    # The workflow's fingerprints cannot see this import, so they name the module as a root of its own.
    return import_module(spec.module).build(spec, key)


def initial_rule(spec: Initial) -> Any:
    """Build the rule that `spec` describes; draw a learned rule's initial theta from key 0."""
    return built_rule(spec, seed_key(0))


@own_numbers()
def trained_rule(path: Path) -> tuple[Learned, Any]:
    """Return the config and the rule of a theta file, which may come from anyone; the file is opened once for both.

    A file without a checksum is read with a warning.

    Raises:
        InputError: the file is not a theta file, its config does not describe a learned rule, its arrays belong to
            another rule, it has changed since it was written, or it holds numbers that are not finite.
    """
    with tensors.opened_safetensors(path, THETA) as (file, header):
        spec: Learned = parse_spec(Learned, json.dumps(dict(json.loads(header["rule"]))), str(path))
        template = eqx.filter_eval_shape(lambda: initial_rule(spec))
        tensors.check_arrays(file, described_leaves(template), of="its rule")
        if unknown := header.keys() - HEADER:
            raise ValueError(f"its header has the unknown key {min(unknown)!r}")
        if "sha256" not in header:
            log.warning("%s: of an earlier version, without a checksum; damage to it would not be noticed", path)
        arrays = tensors.read_arrays(file, header, checked="sha256" in header)
        tensors.check_finite(arrays)
    return spec, jax.tree.map(jax.numpy.asarray, with_leaves(template, arrays))
