"""How JAX computes, whatever the environment says: in float32 throughout, the seed alone deciding what is drawn.

What is compiled is kept for the next start: by stages in their working directory; by the library, which has none, in
the user's cache folder.
"""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

FOLDER, LEAST_SECONDS = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"
SETTINGS = {
    FOLDER: Path(".cache/jax"),
    # A stage may compile hundreds of programs, so that even the quickest is worth keeping.
    LEAST_SECONDS: 0,
}
"""Settings of stages that apply unless the environment has others."""
NUMBERS = {
    "jax_enable_x64": False,
    "jax_explicit_x64_dtypes": "warn",
    "jax_default_prng_impl": "threefry2x32",
    "jax_random_seed_offset": 0,
    "jax_threefry_partitionable": True,
    "jax_high_dynamic_range_gumbel": False,
    # Otherwise a GPU computes products of float32 in a coarser format.
    "jax_default_matmul_precision": "highest",
    "jax_softmax_custom_jvp": False,
    "jax_use_direct_linearize": True,
    "jax_allow_f16_reductions": True,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_transfer_guard": "allow",
    "jax_transfer_guard_host_to_device": "allow",
    "jax_transfer_guard_device_to_device": "allow",
    "jax_transfer_guard_device_to_host": "allow",
    # Numbers that are not finite are expected: what gives them is masked or refused.
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_debug_key_reuse": False,
    "jax_check_tracer_leaks": False,
    "jax_disable_jit": False,
}
"""Settings that the package fixes, since others would change its numbers or raise errors. How hard XLA optimises is
left to the user: it changes the last bits alone, as another machine does."""
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Variables that a process needs at its start, unless the environment has others: memory in large pages where Linux
offers them. Without these a meta-gradient spends nearly half of its time on page faults (`docs/notes/speed.md`)."""

_process: int | None = None
"""The process in which `own_numbers` has started JAX."""


def fix_numbers() -> None:
    """Make this process, and those that it starts, compute under `NUMBERS`."""
    jax = sys.modules.get("jax")
    for name, value in NUMBERS.items():
        # JAX reads them when it is imported, without which a stage starts sooner.
        os.environ[name.upper()] = str(value)
        # Earlier versions of JAX have fewer settings.
        if jax and hasattr(jax.config, name):
            jax.config.update(name, value)


def configure_jax() -> None:
    """Make a stage compute under `NUMBERS` and find what earlier runs in the same working directory compiled.

    Where that is kept, JAX's own variables decide first, which are the settings' names in capitals.
    """
    fix_numbers()
    # XLA takes as many threads as Snakemake gives the job, instead of one a core of the machine.
    if threads := os.environ.get("OMP_NUM_THREADS"):
        os.environ.setdefault("NPROC", threads)
    jax = sys.modules.get("jax")
    for name, value in SETTINGS.items():
        if jax and name.upper() not in os.environ:
            jax.config.update(name, str(value.absolute()) if isinstance(value, Path) else value)


@contextmanager
def own_numbers(device: str | None = None) -> Iterator[None]:
    """Compute on `device`, in this thread alone, under every setting of `NUMBERS` that JAX can set for a thread.

    The others concern keys that are made from seeds, for which there is `seed_key`, and functions that this package
    does not call.

    Raises:
        ValueError: JAX finds no such device.
        RuntimeError: this process was forked from one in which JAX had started, so that it would wait for ever.
    """
    import jax

    global _process
    if _process not in (None, os.getpid()):
        raise RuntimeError("JAX does not survive a fork; start processes by `spawn` or `forkserver` instead")
    _process = os.getpid()
    with ExitStack() as held:
        for name, value in NUMBERS.items():
            if (setting := getattr(jax, name.removeprefix("jax_"), None)) is not None:
                held.enter_context(setting(value))
        if device:
            try:
                held.enter_context(jax.default_device(jax.local_devices(backend=device)[0]))
            except RuntimeError as error:
                raise ValueError(f"device == {device!r}: {' '.join(str(error).split())}.") from error
        yield


def platform() -> str:
    """Return the kind of device that computes now, such as cpu; it is known while a program is traced too."""
    import jax

    device: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
    return str(getattr(device, "platform", device) or jax.default_backend())


def seed_key(seed: Any) -> Any:
    """Return the key of a seed, an integer or a traced one below 2^32, the same under all settings of JAX.

    It equals `jax.random.key(seed)` under the default ones.
    """
    import jax
    import jax.numpy as jnp

    low = jnp.asarray(seed, jnp.uint32)
    return jax.random.wrap_key_data(jnp.stack([jnp.zeros_like(low), low]), impl="threefry2x32")


@contextmanager
def compiling(programs: str) -> Iterator[None]:
    """Let one process at a time compile what `programs` names; those that waited read it from the cache.

    Nothing waits where compilations are not kept, or where the folder cannot hold a lock.
    """
    import jax

    settings: Any = jax.config
    with ExitStack() as held:
        if settings.jax_enable_compilation_cache and (folder := settings.jax_compilation_cache_dir):
            with suppress(OSError):
                Path(folder).mkdir(parents=True, exist_ok=True)
                file = held.enter_context(Path(folder, f"{programs}.lock").open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_folder() -> Path:
    """Return the user's folder of compiled programs."""
    return user_cache_path("metaplastic", appauthor=False) / "jax"


@contextmanager
def compilations_kept() -> Iterator[None]:
    """Keep what is compiled meanwhile in the user's cache folder, and find what earlier processes kept there.

    JAX's settings take precedence: nothing changes where they name another folder or forbid to keep anything
    (`JAX_ENABLE_COMPILATION_CACHE=0`), nor where the folder cannot be written.
    """
    import jax
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    settings: Any = jax.config
    configured = settings.jax_compilation_cache_dir is not None or not settings.jax_enable_compilation_cache
    folder = cache_folder()
    if not configured:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
    if configured or not os.access(folder, os.W_OK):
        yield
        return
    ours = {FOLDER: str(folder), LEAST_SECONDS: 0}
    theirs = {name: getattr(settings, name) for name in ours}
    try:
        for name, value in ours.items():
            settings.update(name, value)
        yield
    finally:
        for name, value in theirs.items():
            settings.update(name, value)
        # Otherwise JAX would go on using the folder that it found first.
        reset_cache()
