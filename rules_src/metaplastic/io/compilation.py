"""Compile quickly what runs only briefly: most of a small run is otherwise spent in XLA's compiler."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax

from metaplastic.training.spec import BRIEF

QUICKLY = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 2}
"""Compiler options on a CPU: compiling takes 0.4 of the time, running up to 1.2 (`docs/notes/speed.md`)."""

P = ParamSpec("P")
T = TypeVar("T")


def jit(function: Callable[P, T], *, steps: int = 0) -> Callable[P, T]:
    """Compile `function` as `equinox.filter_jit` does; quickly, unless for a training of more than `BRIEF` steps."""

    @cache
    def compiled() -> Callable[P, T]:
        options: Any = {"compiler_options": _options()} if steps <= BRIEF else {}
        return eqx.filter_jit(function, **options)

    # The options depend on the device, which no import may ask for, and only the outermost program takes any.
    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, kwargs)))
        return (function if traced else compiled())(*args, **kwargs)

    return call


@cache
def _options() -> dict[str, Any]:
    """Return the options of `QUICKLY` that XLA knows, on a CPU, less those that JAX's own settings decide."""
    if jax.default_backend() != "cpu":
        return {}
    options = dict(QUICKLY)
    if jax.config.read("jax_disable_most_optimizations"):  # type: ignore[no-untyped-call]
        del options["xla_backend_optimization_level"]
    try:
        jax.jit(lambda: 0, compiler_options=options)()
    except jax.errors.JaxRuntimeError:  # another XLA, which compiles as it does by default
        return {}
    return options
