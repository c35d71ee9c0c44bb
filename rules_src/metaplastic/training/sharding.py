"""Arrays and work laid out over the devices of all processes that train together, and gathered again."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

T = TypeVar("T")


def shared_out(tree: T, sharding: NamedSharding) -> T:
    """Lay out `tree`, equal in every process or already laid out over them, by `sharding` over the devices of all."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def laid_out(array: Any) -> Any:
        if isinstance(array, jax.Array) and not array.is_fully_addressable:
            return _moving(sharding)(array)
        if jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(laid_out(jax.random.key_data(array)), impl=jax.random.key_impl(array))
        here = np.asarray(array)
        return jax.make_array_from_callback(here.shape, sharding, here.__getitem__)

    laid: T = jax.tree.map(laid_out, tree)
    return laid


def whole(tree: T, mesh: Mesh) -> T:
    """Gather every array of `tree` whole in this process, wherever on `mesh` its parts are."""
    if jax.process_count() == 1:
        return tree
    everywhere = NamedSharding(mesh, PartitionSpec())  # type: ignore[no-untyped-call]
    gathered: T = jax.tree.map(lambda array: array.addressable_data(0), _moving(everywhere)(tree))
    return gathered


def divide_cpu(devices: int) -> None:
    """Divide a CPU into devices, before JAX starts; other devices stay as they are."""
    if devices > 1:
        jax.config.update("jax_num_cpu_devices", devices)  # type: ignore[no-untyped-call]


def on_each_device(function: Callable[..., T]) -> Callable[..., T]:
    """Return a function that splits its first argument equally over the devices of a divided CPU and joins the results.

    Both are along the leading axis; other arguments are the same for all parts. Where parts would be unequal, or inside
    a part already, the function runs once on everything.
    """

    def call(first: Any, *others: Any) -> T:
        devices = jax.local_devices() if jax.default_backend() == "cpu" else [jax.local_devices()[0]]
        within = not jax.sharding.get_abstract_mesh().empty
        if within or len(devices) == 1 or len(first) % len(devices):
            return function(first, *others)
        mesh, part = Mesh(np.array(devices), ("part",)), PartitionSpec("part")  # type: ignore[no-untyped-call]
        laid = (part, *[PartitionSpec()] * len(others))  # type: ignore[no-untyped-call]
        joined: T = jax.shard_map(function, mesh=mesh, in_specs=laid, out_specs=part, check_vma=False)(first, *others)
        return joined

    return call


@cache
def _moving(sharding: NamedSharding) -> Any:
    """Return the one program for this layout; a new function would be compiled again at every dispatch."""
    return jax.jit(lambda tree: tree, out_shardings=sharding)
