"""The frame of every stage: a typed command line, errors as one line, compiled programs kept for the next start."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from rules_src.errors import InputError

SETTINGS = {
    "jax_compilation_cache_dir": Path(".cache/jax"),
    # Even the quickest, since a stage may compile hundreds of them.
    "jax_persistent_cache_min_compile_time_secs": 0,
    # A GPU would else take float32 for an invitation to something coarser.
    "jax_default_matmul_precision": "highest",
}
"""Settings of JAX that hold unless the environment has others."""


def run(stage: Callable[..., None]) -> None:
    """Run `stage` as a command line made from its signature; an `InputError` ends it with one line and exit code 1."""
    configure_jax()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(stage)
    try:
        app()
    except InputError as error:
        sys.exit(f"error: {error}")


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


def named_stores(option: str, texts: Sequence[str]) -> dict[str, Path]:
    """The values of a repeatable option, each NAME=STORE.

    Raises:
        InputError: one of them is not.
    """
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not equals:
            raise InputError(f"{option}: {name!r} is not NAME=STORE")
    return {name: Path(store) for name, _, store in pairs}
