"""How JAX computes in every stage: in float32 throughout, keeping what it compiled for the next start.

Stages keep it in their working directory; the library, which has none, in the user's cache folder.
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
    # Otherwise a GPU computes products of float32 in a coarser format.
    "jax_default_matmul_precision": "highest",
}
"""Settings that apply unless the environment has others."""
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Variables that a process needs at its start, unless the environment has others: memory in large pages where Linux
offers them. Without these a meta-gradient spends nearly half of its time on page faults (`docs/notes/speed.md`)."""


def configure_jax() -> None:
    """Make a stage compute in float32 and find what earlier runs in the same working directory compiled.

    JAX's own variables, which are the settings' names in capitals, take precedence.
    """
    jax = sys.modules.get("jax")
    for name, value in SETTINGS.items():
        # A stage that has not imported JAX starts sooner without it.
        if jax and name.upper() not in os.environ:
            jax.config.update(name, str(value.absolute()) if isinstance(value, Path) else value)


@contextmanager
def compiling(programs: str) -> Iterator[None]:
    """Let one process at a time compile what `programs` names; those that waited find it where it is kept.

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
