"""The frame of every stage: a typed command line, errors in one line, compiled programs kept for the next start."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from metaplastic.io.errors import InputError, what_brings
from metaplastic.io.jax_settings import configure_jax
from metaplastic.io.memory import OUT_OF_MEMORY

Key = Annotated[str, Option(help="Key in the config.")]
Spec = Annotated[str, Option(help="Section of the config, as JSON.")]
Code = Annotated[str, Option(help="Fingerprint of the source code.")]
TrainedBy = Annotated[str, Option(help="Fingerprint of the source code that a saved state depends on.")]
DatasetStore = Annotated[Path, Option(help="Store of the dataset.")]
Output = Annotated[Path, Option(help="File, store or folder to write.")]
Json = Annotated[bool, Option("--json", help="Write JSON, for programs.")]
"""Options that several commands have."""


def run(stage: Callable[..., None]) -> None:
    """Run `stage` as a command line, with the JAX settings of stages."""
    configure_jax()
    command_line(stage)


def command_line(*commands: Callable[..., None], version: str = "") -> None:
    """Run the command line that the signature of a function, or of several, describes, `--version` included if given.

    What a user can mend ends it with one line and exit code 1: an `InputError`, a file that cannot be read or written,
    a package that is not installed, or too little memory.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=len(commands) > 1)
    for command in commands:
        app.command()(command)

    def tell(asked: bool) -> bool:
        if asked:
            print(version)
            raise typer.Exit
        return asked

    def options(
        told: Annotated[
            bool, Option("--version", callback=tell, is_eager=True, help="Show the version and exit.")
        ] = False,
    ) -> None:
        pass

    if version:
        app.callback()(options)
    try:
        app()
    except InputError as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:
        if not (line := what_brings(error)):
            raise
        sys.exit(f"error: {line}")
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(f"error: {error.filename}: {error.strerror}")
    # XLA's errors are RuntimeErrors; naming their class would import JAX, without which some stages start sooner.
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and OUT_OF_MEMORY not in str(error):
            raise
        sys.exit(f"error: out of memory: {' '.join(str(error).split())}; give smaller sizes")


def named_stores(option: str, texts: Sequence[str]) -> dict[str, Path]:
    """Read the values of a repeatable option, each NAME=PATH.

    Raises:
        InputError: one of them has another form, or a name comes twice.
    """
    named = named_paths(option, texts)
    for name, paths in named.items():
        if len(paths) > 1:
            raise InputError(f"{option}: {name!r} is given {len(paths)} times")
    return {name: path for name, (path,) in named.items()}


def named_paths(option: str, texts: Sequence[str]) -> dict[str, list[Path]]:
    """Read the values of a repeatable option, each NAME=PATH, grouped by name.

    Raises:
        InputError: one of them has another form.
    """
    named: dict[str, list[Path]] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals:
            raise InputError(f"{option}: {text!r} is not NAME=PATH")
        named.setdefault(name, []).append(Path(path))
    return named
