"""What pydantic finds wrong with a config, as one line that names the key."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from metaplastic.config.base import nearest


def explain(error: ValidationError, raw: Mapping[str, Any]) -> str:
    """Return one line about the first wrong key of the config `raw`, with the valid key that was probably meant."""
    details = error.errors()
    # A typo is often also a missing key; the typo is the one to mend.
    first = next((detail for detail in details if detail["type"] == "unknown_key"), details[0])
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"config: {_describe(first, raw)}{more}"


def _describe(detail: ErrorDetails, raw: Mapping[str, Any]) -> str:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    place = _place(detail["loc"], raw)
    if kind == "unknown_key":
        key = ".".join(filter(None, [place, context["key"]]))
        return f"unknown key {key!r}{nearest(context['key'], context['valid'])}"
    if kind == "missing":
        return f"missing key {place!r}"
    if kind == "union_tag_not_found":
        return f"missing key '{place}.{context['discriminator'].strip(chr(39))}'"
    if kind == "union_tag_invalid":
        tags = [tag.strip("'") for tag in context["expected_tags"].split(", ")]
        key = f"{place}.{context['discriminator'].strip(chr(39))}"
        return f"{key}: unknown {context['tag']!r}{nearest(context['tag'], tags)}"
    if detail["loc"][-1:] == ("[key]",):
        return f"{place}: a name has lower-case letters and digits, parted by single hyphens"
    message = detail["msg"].removeprefix("Value error, ")
    shown = "" if not place or isinstance(given, dict) else f", got {given!r}"
    return f"{place + ': ' if place else ''}{message}{shown}{_number_as_text(kind, given)}"


def _place(loc: tuple[int | str, ...], raw: Any) -> str:
    """Return the dotted path of a key.

    Pydantic puts the tag of a family's member into the path as if it were a key. The file has no such key.
    """
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
        plain = f"{Decimal(given):f}"
    except InvalidOperation:
        return ""
    hint = " (YAML takes 1e-3 for text, 1.0e-3 for a number)" if "e" in given else ""
    return f", which is text; write {plain}{hint}"
