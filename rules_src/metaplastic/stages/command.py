"""The frame of every stage: a typed command line, errors as one line, compiled programs kept for the next start."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from metaplastic.io.errors import InputError
from metaplastic.io.jax_settings import configure_jax
from metaplastic.io.memory import OUT_OF_MEMORY


def run(stage: Callable[..., None]) -> None:
    """Run `stage` as a command line, with the settings of stages."""
    configure_jax()
    command_line(stage)


def command_line(*commands: Callable[..., None]) -> None:
    """A command line made from the signature of a function, or of several; what a user can mend ends it with one line.

    That is an `InputError`, a file that cannot be read or written, or too little memory; the exit code is 1.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=len(commands) > 1)
    for command in commands:
        app.command()(command)
    try:
        app()
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(f"error: {error.filename}: {error.strerror}")
    # XLA's errors are of the second kind; a stage that does without JAX starts sooner.
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and OUT_OF_MEMORY not in str(error):
            raise
        sys.exit(f"error: out of memory: {' '.join(str(error).split())}; give smaller sizes")


def named_stores(option: str, texts: Sequence[str]) -> dict[str, Path]:
    """The values of a repeatable option, each NAME=STORE.

    Raises:
        InputError: one of them is not.
    """
    return {name: paths[-1] for name, paths in named_paths(option, texts, what="STORE").items()}


def named_paths(option: str, texts: Sequence[str], *, what: str) -> dict[str, list[Path]]:
    """The values of a repeatable option, each NAME=PATH, all that have one name together; `what` paths are of.

    Raises:
        InputError: one of them is not.
    """
    named: dict[str, list[Path]] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals:
            raise InputError(f"{option}: {text!r} is not NAME={what}")
        named.setdefault(name, []).append(Path(path))
    return named
