import gc
import os
from collections.abc import Iterator
from pathlib import Path

# Tests, and the processes that they start, run each compiled program once or twice: compiling it fast matters more than
# running it fast. JAX reads both when it is imported.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")

import jax
import pytest

# Tests mostly compile, and find what an earlier run of them has compiled.
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".cache/tests"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


@pytest.fixture(autouse=True, scope="module")
def _forgotten() -> Iterator[None]:
    """Forget the programs of a module at its end: Python's garbage collector slows down with every one that is kept."""
    yield
    jax.clear_caches()
    gc.collect()
