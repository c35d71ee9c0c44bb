"""What the figures of the package declare at the top of their modules, read without importing them."""

import ast
from pathlib import Path
from typing import NamedTuple

from metaplastic.io.errors import InputError


class Declaration(NamedTuple):
    """What a figure says of itself."""

    inputs: dict[str, str]
    """Kind of result of a study by the argument of `draw` that takes it."""
    needs: tuple[str, ...]
    """What a study must have besides."""
    on_request: bool
    """Whether only studies that list the figure draw it."""
    caption: str


def names(package: Path) -> list[str]:
    """Return the names of all figures of the package in this folder."""
    return sorted(path.stem for path in (package / "figures").glob("[a-z]*.py") if path.stem != "style")


def declared(package: Path, figure: str) -> Declaration:
    """Read the declaration of a figure.

    Raises:
        InputError: the module does not parse, or lacks a declaration or has one that is not a literal of its type.
    """
    path = package / "figures" / f"{figure}.py"
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assigned = [(node.targets[0], node.value) for node in body if isinstance(node, ast.Assign)]
        values = {target.id: value for target, value in assigned if isinstance(target, ast.Name)}
        wanted = {name: ast.literal_eval(values[name]) for name in ("INPUTS", "NEEDS", "CAPTION")}
        asked = ast.literal_eval(values["ON_REQUEST"]) if "ON_REQUEST" in values else False
        texts = [*wanted["INPUTS"].items(), wanted["NEEDS"], [wanted["CAPTION"]]]
        if not (wanted["INPUTS"] and all(isinstance(text, str) for group in texts for text in group)):
            raise ValueError("INPUTS, NEEDS and CAPTION take texts, INPUTS at least one")
    except (ValueError, SyntaxError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: declares no INPUTS, NEEDS and CAPTION as literals: {error}") from error
    return Declaration(wanted["INPUTS"], tuple(wanted["NEEDS"]), asked is True, wanted["CAPTION"])
