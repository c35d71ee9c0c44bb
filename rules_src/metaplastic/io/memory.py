"""How much memory there is, so that what cannot fit is refused before any of it is taken."""

import math
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metaplastic.io.errors import InputError

# JAX is imported where it is used: stages that do without it ask for `peak` alone, and start sooner.

GIB = 2**30
OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"
"""In the errors of XLA."""
CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says what a container may take, in its second and its first way of doing so."""


def check_memory(keys: str, parts: Mapping[str, Any]) -> None:
    """Let arrays pass that this device can hold all at once.

    Args:
        keys: what to give less of; begins the message.
        parts: trees of arrays, or of the shapes that `jax.eval_shape` gives, by what they are.

    Raises:
        InputError: with the sum.
    """
    sizes = {name: size(tree) / GIB for name, tree in parts.items()}
    total, limit = sum(sizes.values()), device_memory() / GIB
    if total > limit:
        terms = " + ".join(f"{each:,.1f} for {name}" for name, each in sizes.items())
        raise InputError(f"{keys}: {terms} = {total:,.1f} GiB at least, but there are {limit:,.1f} GiB; give less")


def numbers(*shape: int) -> Any:
    """The shape of an array in single precision, for `check_memory`."""
    import jax

    return jax.ShapeDtypeStruct(shape, np.float32)  # type: ignore[no-untyped-call]


def device_memory() -> int:
    """Bytes of the accelerator if there is one, else of the machine or the container."""
    import jax

    if stats := jax.local_devices()[0].memory_stats():
        return int(stats["bytes_limit"])
    limits = [Path(file).read_text().strip() for file in CONTAINERS if Path(file).is_file()]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, *(int(limit) for limit in limits if limit.isdigit()), machine)


def peak() -> int:
    """Bytes of memory that this process has taken at most so far; an accelerator's own are not among them."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else 1024 * found


def size(tree: Any) -> int:
    """Bytes of the arrays of a tree; in Python's integers, which do not overflow."""
    import jax

    arrays = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "shape")]
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in arrays)
