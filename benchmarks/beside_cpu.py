"""The device held against the CPU: recorded cases of the released code, and meta-gradients."""

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
from metaplastic.tools.replay import meta_gradient_errors, quantities, read_case, relative_error

from benchmarks.measurement import Program, built
from benchmarks.parts import Numbers


def replayed(case: Path, double: bool, most: int | None) -> Numbers:
    """Return how far a case's quantities, or the first few, are from the CPU's and from the record."""
    with jax.enable_x64(double):
        record: dict[str, Any] = dict(read_case(case))
        numbers: Any = {key: value for key, value in record.items() if value.dtype.kind == "f" and key[:4] != "f64/"}

        def values(inputs: Any) -> dict[str, jax.Array]:
            return {key: value for _, value, key in islice(quantities({**record, **inputs}), most)}

        here, there = on_both(values, numbers)
    recorded = {key: record.get(f"f64/{key}" if double else key) for key in here}
    apart = {key: relative_error(here[key], there[key]) for key in here}
    from_record = {key: relative_error(here[key], value) for key, value in recorded.items() if value is not None}
    return {**worst("from the CPU", apart.items()), **worst("from the record", from_record.items())}


def recorded_gradients(case: Path) -> Numbers:
    """Return the largest difference of the device's meta-gradients from those of a case, if it has any."""
    with jax.enable_x64(True):
        return worst("from the record", meta_gradient_errors(read_case(case)))


def gradient_apart(make: Callable[[], Program]) -> Numbers:
    """Return the difference of a meta-gradient between device and CPU."""
    program = built(make)
    both = on_both(lambda *arguments: program.function(*arguments).gradient, *program.arguments)
    return {"from the CPU": relative_error(*(np.concatenate([*map(np.ravel, jax.tree.leaves(g))]) for g in both))}


def on_both(function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Compute a function of the same arguments on the device, then on the CPU."""
    found = []
    for device in (jax.devices()[0], jax.devices("cpu")[0]):
        with jax.default_device(device):
            found.append(jax.device_get(jax.jit(function)(*jax.device_put(arguments, device))))
    return found


def worst(what: str, errors: Iterable[tuple[str, float]]) -> Numbers:
    """Return the largest error and where it is; NaN is larger than any."""
    found = list(errors)
    if not found:
        return {what: "not recorded"}
    place, error = max(found, key=lambda each: np.nan_to_num(each[1], nan=np.inf))
    return {what: error, f"most {what}": place}
