"""Trees of arrays as files name them."""

from typing import Any

import jax


def named_leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves of a tree by their places in it, such as `network.kernels.0`, in the order of JAX."""
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(place, simple=True, separator="."): leaf for place, leaf in leaves}
