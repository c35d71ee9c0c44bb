"""The frame of every stage: a typed command line, errors as one line."""

import sys
from collections.abc import Callable
from typing import Any

import typer
from pydantic import TypeAdapter, ValidationError

from rules_src.errors import InputError


def run(stage: Callable[..., None]) -> None:
    """Run `stage` as a command line made from its signature; an `InputError` ends it with one line and exit code 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(stage)
    try:
        app()
    except InputError as error:
        sys.exit(f"error: {error}")


def parse_spec(model: Any, text: str, place: str = "--spec") -> Any:
    """Validate the JSON `text` given at `place` as `model`, a pydantic model or a union of such.

    Raises:
        InputError: naming the first offending key.
    """
    try:
        return TypeAdapter(model).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "section"
        raise InputError(f"{place}: {key}: {first['msg']}") from error
