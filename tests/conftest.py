import gc
import os
from collections.abc import Iterator

import jax
import pytest

# Tests run each compiled program once or twice: compiling it fast matters more than running it fast.
jax.config.update("jax_disable_most_optimizations", True)
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
# A test's compilations are its own; those that are kept in the user's folder are tested in processes of their own.
jax.config.update("jax_enable_compilation_cache", False)


@pytest.fixture(autouse=True, scope="module")
def _forgotten() -> Iterator[None]:
    """Forget the programs of a module at its end: Python's garbage collector slows down with every one that is kept."""
    yield
    jax.clear_caches()
    gc.collect()
