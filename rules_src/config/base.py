"""What every config section shares: strict models, canonical text and its way back, short hashes."""

import hashlib
import json
from collections.abc import Collection
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rules_src.errors import InputError

LARGEST = 2**31 - 1
"""Integer that 32 bits hold, in which JAX counts."""

LARGEST_DECAY = 0.999999
"""Of a moving average: closer to 1, single precision would make it 1."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
"""Also of files, which are a little longer."""
Int = Annotated[int, Field(le=LARGEST)]
PositiveInt = Annotated[Int, Field(gt=0)]
Count = Annotated[Int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Decay = Annotated[float, Field(ge=0, le=LARGEST_DECAY)]
PositiveFraction = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


def _increasing(values: list[int]) -> list[int]:
    if not values or values != sorted(set(values)):
        raise ValueError("has to be a non-empty increasing list")
    return values


Increasing = AfterValidator(_increasing)
"""For lists of integers."""


def _distinct(values: list[str]) -> list[str]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} is listed twice")
    return values


Distinct = AfterValidator(_distinct)
"""For lists of names."""


def _folder(path: str) -> str:
    if not path or path != path.strip():
        raise ValueError("has to be the name of a folder")
    if path[0] in "~-":
        raise ValueError(f"no folder can begin with {path[0]!r} here; write it out")
    for character in path:
        if character in "{}<>" or not character.isprintable():
            raise ValueError(f"no folder can have {character!r} in its name here; choose another")
    folder = PurePath(path)
    if folder in {PurePath(), PurePath(folder.anchor)}:
        raise ValueError("has to be a folder of its own, not the current one or the root of the file system")
    return folder.as_posix()


Folder = Annotated[str, AfterValidator(_folder)]
"""Of the workflow's own: Snakemake and shells give some characters a meaning."""


class Section(BaseModel):
    """A config section: unknown keys and loose types are refused, values cannot change after validation."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


def canonical_json(section: Section, *, without: Collection[str] = (), defaults: bool = True) -> str:
    """The section as JSON with sorted keys: equal sections give equal text.

    Args:
        section: any.
        without: keys to leave out.
        defaults: whether keys at their default are written; left out, a key that is new in a later version changes
            nothing.
    """
    content = section.model_dump(mode="json", exclude=set(without), exclude_defaults=not defaults)
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def same_section(model: type[Section], older: str, newer: str) -> bool:
    """Whether two texts of `canonical_json`, the older one perhaps of an earlier version, are of equal sections.

    Keys that the older text lacks are at the defaults they have now.
    """
    try:
        return bool(model.model_validate_json(older) == model.model_validate_json(newer))
    except ValidationError:
        return False


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


def short_hash(*texts: str) -> str:
    """First 8 hex digits of a SHA-256 over texts; part of costly results' paths."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]
