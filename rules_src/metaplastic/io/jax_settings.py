"""How JAX computes in every stage: in float32 throughout, keeping what it compiled for the next start.

Stages keep it in their working directory; a library, which has none, in the user's cache folder.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

SETTINGS = {
    "jax_compilation_cache_dir": Path(".cache/jax"),
    # Even the quickest, since a stage may compile hundreds of them.
    "jax_persistent_cache_min_compile_time_secs": 0,
    # A GPU would else take float32 for an invitation to something coarser.
    "jax_default_matmul_precision": "highest",
}
"""Settings that hold unless the environment has others."""


ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""What has to be there when a process starts, unless the environment has others: memory in large pages where Linux has
them, without which a meta-gradient spends nearly half of its time on page faults (`benchmarks/NOTES.md`)."""


def configure_jax() -> None:
    """Make a stage that has imported JAX compute in float32 throughout and find what earlier runs compiled.

    That is, those in the same working directory. JAX's own variables, the settings' names in capitals, take
    precedence.
    """
    jax = sys.modules.get("jax")
    if jax is None:
        # A stage that does without JAX starts sooner.
        return
    for name, value in SETTINGS.items():
        if name.upper() not in os.environ:
            jax.config.update(name, str(value.absolute()) if isinstance(value, Path) else value)


@contextmanager
def compilations_kept() -> Iterator[None]:
    """Keep what is compiled meanwhile in the user's cache folder, and find what earlier processes kept there.

    Settings of JAX come first: where they name another folder, or forbid to keep anything
    (`JAX_ENABLE_COMPILATION_CACHE=0`), and where the folder cannot be written, nothing is changed.
    """
    import jax
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    settings: Any = jax.config
    configured = settings.jax_compilation_cache_dir is not None or not settings.jax_enable_compilation_cache
    folder = None if configured else _user_folder()
    if folder is None:
        yield
        return
    ours = {"jax_compilation_cache_dir": folder, "jax_persistent_cache_min_compile_time_secs": 0}
    theirs = {name: getattr(settings, name) for name in ours}
    try:
        for name, value in ours.items():
            settings.update(name, value)
        yield
    finally:
        for name, value in theirs.items():
            settings.update(name, value)
        # Else JAX would go on using the folder that it found first.
        reset_cache()


def _user_folder() -> str | None:
    """Where compilations are kept; none if there can be no such folder."""
    folder = user_cache_path("metaplastic", appauthor=False) / "jax"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder) if os.access(folder, os.W_OK) else None
