"""The base of every config section: strict models, families of kinds, canonical text and its way back, hashes."""

import difflib
import hashlib
import json
import re
from collections.abc import Collection, Iterable
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from metaplastic.io.errors import InputError

LARGEST = 2**31 - 1
"""Largest integer that 32 bits hold, in which JAX counts."""
LARGEST_DECAY = 0.999999
"""Largest decay of a moving average. Single precision would make 1 of anything closer to it."""
REPEATED = re.compile(r"(.+)\1{19}$")
"""What Snakemake refuses at the end of a wildcard, as if rules made their own input for ever."""


def _no_repetition(name: str) -> str:
    if found := REPEATED.search(name):
        raise ValueError(f"a name cannot end with {found[1]!r} twenty times; choose another")
    return name


NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
Name = Annotated[str, Field(pattern=NAME, max_length=100), AfterValidator(_no_repetition)]
"""A key of a table, which becomes part of file names."""
Int = Annotated[int, Field(le=LARGEST)]
PositiveInt = Annotated[Int, Field(gt=0)]
Count = Annotated[Int, Field(ge=0)]
TwoOrMore = Annotated[Int, Field(ge=2)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Decay = Annotated[float, Field(ge=0, le=LARGEST_DECAY)]
PositiveFraction = Annotated[float, Field(gt=0, lt=1)]
LARGEST_SEED = 2**32 - 1
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


Downsample = Literal["stride", "pool"]
"""How a layer halves the side of an image."""


def _increasing(values: list[int]) -> list[int]:
    if not values or values != sorted(set(values)):
        raise ValueError("has to be a non-empty increasing list")
    return values


Increasing = AfterValidator(_increasing)
"""Requires a list of integers to increase."""


def _distinct(values: list[str]) -> list[str]:
    if twice := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{twice[0]!r} is listed twice")
    return values


Distinct = AfterValidator(_distinct)
"""Requires the names of a list to differ."""


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
"""A folder of the workflow. Snakemake and shells give some characters a meaning, which are refused."""


class Section(BaseModel):
    """A config section. It refuses unknown keys and loose types, and its values cannot change after validation."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_key(cls, given: Any) -> Any:
        """Refuse an unknown key before pydantic does, with the keys that would be valid."""
        valid = list(cls.model_fields)
        for key in given if isinstance(given, dict) else ():
            if key not in valid:
                raise PydanticCustomError(
                    "unknown_key", "Extra inputs are not permitted", {"key": str(key), "valid": valid}
                )
        return given


class Kind(Section):
    """One of a family of sections that a tag such as `kind: pca` tells apart.

    A family is a base class; a member is a subclass whose tag is a `Literal`. Where the config takes a family, any of
    its members is valid. The tag also names the module that implements a member: `kind: k-means` of the family in
    `metaplastic.embeddings.spec` is `metaplastic.embeddings.k_means`.
    """

    tag: ClassVar[str] = "kind"
    """The key that tells the members apart."""
    folder: ClassVar[str] = ""
    """Subpackage of the room that holds the members' modules, if they do not stand beside `spec.py`."""
    module: ClassVar[str] = ""
    """Dotted name of the module that implements the member."""

    @classmethod
    def kinds(cls) -> dict[str, "type[Kind]"]:
        """Return every member of the family by its tag, in the order of definition."""
        own = {cls._tagged(): cls} if cls._tagged() else {}
        return own | {name: member for below in cls.__subclasses__() for name, member in below.kinds().items()}

    @classmethod
    def _tagged(cls) -> str:
        field = cls.model_fields.get(cls.tag)
        values = get_args(field.annotation) if field else ()
        return str(values[0]) if values else ""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Name the module of a new member."""
        super().__pydantic_init_subclass__(**kwargs)
        if cls._tagged() and "module" not in cls.__dict__:
            room = cls.__module__.removesuffix(".spec")
            cls.module = ".".join(filter(None, [room, cls.folder, cls._tagged().replace("-", "_")]))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        """Validate a family as whichever member the tag names."""
        if cls._tagged() or not cls.kinds():
            return handler(source)
        members = {name: handler.generate_schema(member) for name, member in cls.kinds().items()}
        return core_schema.tagged_union_schema(members, discriminator=cls.tag)


class FittedKind(Kind):
    """One of a family whose members are fitted on the training examples of a dataset."""

    @property
    def fewest_examples(self) -> int:
        """Fewest training examples that it takes, as far as the config tells: one per cluster."""
        return getattr(self, "clusters", 0)


def canonical_json(section: Section, *, without: Collection[str] = (), defaults: bool = True) -> str:
    """Return the section as JSON with sorted keys, `without` some and, unless `defaults`, those at their default."""
    content = section.model_dump(mode="json", exclude=set(without), exclude_defaults=not defaults)
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def same_section(model: type[Section], older: str, newer: str, *, without: Collection[str] = ()) -> bool:
    """Return whether texts of `canonical_json` agree but for keys `without`; keys left out are at their defaults."""
    try:
        old, new = (canonical_json(model.model_validate_json(text), without=without) for text in (older, newer))
    except ValidationError:
        return False
    return old == new


def parse_spec(model: Any, text: str, place: str = "--spec") -> Any:
    """Validate JSON given at `place` as a section or a family of kinds; raise InputError about the first wrong key."""
    try:
        # Annotated, for the schema of a bare model is older than the members of its family.
        return TypeAdapter(Annotated[model, place]).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        unknown = [first["ctx"]["key"]] if first["type"] == "unknown_key" else []
        key = ".".join(map(str, [*first["loc"], *unknown])) or "section"
        raise InputError(f"{place}: {key}: {first['msg'].removeprefix('Value error, ')}") from error


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the valid one that is close to it, or all that are valid."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; valid: {', '.join(valid)}"


def short_hash(*texts: str) -> str:
    """Return the first 8 hex digits of a SHA-256 over texts, which the paths of costly results carry."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]
