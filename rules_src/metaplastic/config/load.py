"""From config files to the validated config, or to one line that names the wrong key."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from metaplastic.config.base import NAME, nearest
from metaplastic.config.study import Config, Runs
from metaplastic.io.errors import InputError

Validated = TypeVar("Validated", Config, Runs)
LONGEST = 30
"""Digits up to which a message writes a number out."""


def load(raw: Mapping[str, Any]) -> Config:
    """Validate a parsed config; raise InputError about the first wrong key, with the one that was probably meant."""
    return _validated(Config, raw)


def load_runs(raw: Mapping[str, Any]) -> Runs:
    """Validate the sections that meta-training reads, as `load` does; ignore the other sections of `Config`."""
    ignored = Config.model_fields.keys() - Runs.model_fields.keys()
    return _validated(Runs, {key: section for key, section in raw.items() if key not in ignored})


def _validated(model: type[Validated], raw: Mapping[str, Any]) -> Validated:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        details = error.errors()
        # A typo is often also a missing key; the typo is the one to mend.
        first = next((detail for detail in details if detail["type"] == "unknown_key"), details[0])
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        raise InputError(f"config: {_described(first, raw)}{more}") from error


def _described(detail: ErrorDetails, raw: Mapping[str, Any]) -> str:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    place = _place(detail["loc"], raw)
    if kind == "unknown_key":
        key = ".".join(filter(None, [place, context["key"]]))
        return f"unknown key {key!r}{nearest(context['key'], context['valid'])}"
    if kind == "missing":
        return f"missing key {place!r}"
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        key = f"{place}.{context['discriminator'].strip(chr(39))}"
        if kind == "union_tag_not_found":
            return f"missing key '{key}'"
        tags = [tag.strip("'") for tag in context["expected_tags"].split(", ")]
        return f"{key}: unknown {context['tag']!r}{nearest(context['tag'], tags)}"
    message = detail["msg"].removeprefix("Value error, ")
    rule = "a name has lower-case letters and digits, parted by single hyphens"
    if detail["loc"][-1:] == ("[key]",):
        rule += "" if isinstance(given, str) else ", and is text: write it in quotes"
        return f"{place}: {message if kind == 'value_error' else rule}"
    if context.get("pattern") == NAME:
        message = rule
    shown = "" if not place or isinstance(given, dict) else f", got {given!r}"
    return f"{place + ': ' if place else ''}{message}{shown}{_number_as_text(kind, given)}"


def _place(loc: tuple[int | str, ...], raw: Any) -> str:
    """Return the dotted path of a key, without the tags of families that pydantic puts into it as if they were keys."""
    place, node = [], raw
    for part in loc:
        if part == "[key]":
            break
        is_mapping = isinstance(node, Mapping)
        if is_mapping and part not in node and part in (node.get("kind"), node.get("source")):
            continue
        place.append(str(part))
        there = part in node if is_mapping else isinstance(node, list) and isinstance(part, int)
        node = node[part] if there else None
    return ".".join(place)


def _number_as_text(kind: str, given: object) -> str:
    """Say how to write a number that YAML has taken for text."""
    if kind not in {"float_type", "int_type"} or not isinstance(given, str):
        return ""
    try:
        number = Decimal(given)
    except InvalidOperation:
        return ""
    if not number.is_finite() or abs(number.adjusted()) > LONGEST:
        return ""
    hint = " (YAML takes 1e-3 for text, 1.0e-3 for a number)" if "e" in given else ""
    return f", which is text; write {number:f}{hint}"


def check_files(files: Iterable[Path]) -> None:
    """Raise InputError about files that are not UTF-8 or have a key twice, of which YAML would take the last."""
    for file in files:
        try:
            _check_keys(yaml.compose(file.read_text(encoding="utf-8")), file)
        except UnicodeDecodeError as error:
            raise InputError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}") from error
        except RecursionError as error:
            raise InputError(f"{file}: no YAML that ends; an alias holds itself") from error
        except yaml.YAMLError as error:
            raise InputError(f"{file}: no YAML ({' '.join(str(error).split())})") from error


def _check_keys(node: yaml.Node | None, file: Path) -> None:
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _check_keys(child, file)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, child in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise InputError(f"{file}: key {name!r} is in lines {seen[name]} and {line}; YAML takes the last alone")
            seen[name] = line
            _check_keys(child, file)
