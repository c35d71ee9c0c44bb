"""Trees of arrays as files name them."""

from collections.abc import Mapping
from typing import Any

import jax

from metaplastic.io.tensors import described


def named_leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves of a tree by their places in it, such as `network.kernels.0`, in the order of JAX."""
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(place, simple=True, separator="."): leaf for place, leaf in leaves}


def described_leaves(tree: Any) -> dict[str, str]:
    """Return types and shapes of a tree of arrays, or of their shapes, by the names of `named_leaves`."""
    return {name: described(leaf.dtype.name, leaf.shape) for name, leaf in named_leaves(tree).items()}


def with_leaves(tree: Any, leaves: Mapping[str, Any]) -> Any:
    """Return a tree with other leaves in their places, given by the names of `named_leaves`."""
    return jax.tree.unflatten(jax.tree.structure(tree), [leaves[name] for name in named_leaves(tree)])
