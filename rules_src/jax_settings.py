"""How JAX computes in every stage: in float32 throughout, keeping what it compiled for the next start."""

import os
import sys
from pathlib import Path

SETTINGS = {
    "jax_compilation_cache_dir": Path(".cache/jax"),
    # Even the quickest, since a stage may compile hundreds of them.
    "jax_persistent_cache_min_compile_time_secs": 0,
    # A GPU would else take float32 for an invitation to something coarser.
    "jax_default_matmul_precision": "highest",
}
"""Settings that hold unless the environment has others."""


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
