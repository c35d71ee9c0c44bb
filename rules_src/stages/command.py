"""The frame of every stage: a typed command line, errors as one line."""

import sys
from collections.abc import Callable

import typer

from rules_src.errors import InputError


def run(stage: Callable[..., None]) -> None:
    """Run `stage` as a command line made from its signature; an `InputError` ends it with one line and exit code 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(stage)
    try:
        app()
    except InputError as error:
        sys.exit(f"error: {error}")
