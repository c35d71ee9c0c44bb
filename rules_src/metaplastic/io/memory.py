"""How much memory there is, so that what cannot fit is refused before any of it is taken.

Functions import JAX themselves, since stages without JAX ask for `peak` alone and start sooner.
"""

import math
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metaplastic.io.errors import InputError

GIB = 2**30
OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"
"""How XLA's errors name it."""
CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux gives a container's limit, in cgroups of version 2 and 1."""


def check_memory(keys: str, parts: Mapping[str, Any]) -> None:
    """Check that this device can hold all of `parts` at once: trees of arrays or of their shapes, by name.

    Raises:
        InputError: it cannot; the message names `keys`, whose values have to be smaller, and the sum.
    """
    sizes = {name: size(tree) / GIB for name, tree in parts.items()}
    total, limit = sum(sizes.values()), device_memory() / GIB
    if total > limit:
        terms = " + ".join(f"{each:,.1f} for {name}" for name, each in sizes.items())
        raise InputError(f"{keys}: {terms} = {total:,.1f} GiB at least, but there are {limit:,.1f} GiB; give less")


def single_precision(*shape: int) -> Any:
    """Return the shape of an array in single precision, for `check_memory`."""
    import jax

    return jax.ShapeDtypeStruct(shape, np.float32)  # type: ignore[no-untyped-call]


def device_memory() -> int:
    """Return the bytes of the accelerator if there is one, else of the machine or the container."""
    import jax

    # The one that computes now, which `jax.default_device` may have chosen.
    (device,) = jax.numpy.zeros(()).devices()
    if stats := device.memory_stats():
        return int(stats["bytes_limit"])
    limits = [Path(file).read_text().strip() for file in CONTAINERS if Path(file).is_file()]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *(int(limit) for limit in limits if limit.isdigit())])


def peak() -> int:
    """Return the most bytes of memory that this process has used so far, without those of an accelerator."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else 1024 * found


def size(tree: Any) -> int:
    """Return the bytes of the arrays of a tree, as a Python integer, which does not overflow."""
    import jax

    arrays = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "shape")]
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in arrays)
