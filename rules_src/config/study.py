"""The whole config: sections keyed by name, and the study that combines them. Loaded by the workflow alone."""

import difflib
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from rules_src.config.apply import Apply
from rules_src.config.base import Name, Section, short_hash
from rules_src.config.datasets import Data, Dataset
from rules_src.config.evaluate import Baseline, FewShot
from rules_src.config.meta_train import MetaTrain
from rules_src.config.rules import BaseModel, MetaTrained, Rule
from rules_src.errors import InputError


class Study(Section):
    """What is compared on what: every name is a key of the tables below."""

    datasets: Annotated[list[Name], Field(min_length=1)]
    """Keys of `datasets` that methods are evaluated on."""
    base_models: Annotated[list[Name], Field(min_length=1)]
    """Keys of `base_models` that rules train."""
    rules: list[Name]
    """Keys of `rules` that are applied."""
    baselines: list[Name] = []
    """Keys of `baselines` that rules are compared with."""


class Config(Section):
    """The workflow's config."""

    results: str = "results"
    """Folder for everything that the workflow makes."""
    study: Study
    data: Data = Data()
    datasets: dict[Name, Dataset]
    """Datasets to choose from, each of one source."""
    base_models: dict[Name, BaseModel]
    """Networks to choose from."""
    rules: dict[Name, Rule]
    """Update rules to choose from, each of one kind."""
    baselines: dict[Name, Baseline] = {}
    """Methods that are no update rules, each of one kind; no name may also be one of `rules`."""
    meta_train: dict[Name, MetaTrain] = Field(default_factory=dict)
    """Meta-training runs that rules of kind `meta-trained` may name."""
    apply: Apply = Apply()
    few_shot: FewShot = FewShot()

    @model_validator(mode="after")
    def _names_exist(self) -> "Config":
        for table in ("datasets", "base_models", "rules", "baselines"):
            for name in getattr(self.study, table):
                _look_up(name, getattr(self, table), f"study.{table}", table)
            names = getattr(self.study, table)
            if repeated := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"study.{table}: {repeated[0]!r} is listed twice")
        if not self.study.rules and not self.study.baselines:
            raise ValueError("study: neither rules nor baselines; list at least one method")
        for name, rule in self.rules.items():
            if isinstance(rule, MetaTrained):
                _look_up(rule.run, self.meta_train, f"rules.{name}.run", "meta_train")
        for name, run in self.meta_train.items():
            places = {f"tasks.sources.{source}.dataset": used for source, used in run.source_datasets.items()}
            for key, used in [*places.items(), *(("held_out.datasets", used) for used in run.held_out.datasets)]:
                place = f"meta_train.{name}.{key}"
                _look_up(used, self.datasets, place, "datasets")
                if self.datasets[used].modality != "image":
                    raise ValueError(f"{place}: {used!r} has no images")
        for name in self.rules.keys() & self.baselines.keys():
            raise ValueError(f"baselines.{name}: the name is taken by rules.{name}; rename one of them")
        return self


def meta_train_folder(config: Config, run: str) -> str:
    """`<run>-<hash of its spec and of the specs of its datasets>`: a changed number never overwrites a long run."""
    spec = config.meta_train[run]
    return f"{run}-{short_hash(spec, *(config.datasets[name] for name in spec.datasets))}"


def load(raw: Mapping[str, Any]) -> Config:
    """Validate a parsed config.

    Raises:
        InputError: naming the first wrong key and, where one is close, the valid key that was probably meant.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise InputError(_explain(error)) from error


def _look_up(name: str, table: Mapping[str, Any], place: str, table_name: str) -> None:
    if name not in table:
        raise ValueError(f"{place}: {name!r} is no key of {table_name}{_nearest(name, table)}")


def _nearest(name: str, valid: Iterable[str]) -> str:
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; valid: {', '.join(valid)}"


def _explain(error: ValidationError) -> str:
    details = error.errors()
    # A typo is often also a missing key; the typo is the one to mend.
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"config: {_describe(first)}{more}"


def _describe(detail: ErrorDetails) -> str:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    place, siblings = _locate(detail["loc"])
    if kind == "extra_forbidden":
        return f"unknown key {place!r}{_nearest(str(detail['loc'][-1]), siblings)}"
    if kind == "missing":
        return f"missing key {place!r}"
    if kind == "union_tag_not_found":
        return f"missing key '{place}.{_unquoted(context['discriminator'])}'"
    if kind == "union_tag_invalid":
        tags = [_unquoted(tag) for tag in context["expected_tags"].split(", ")]
        return (
            f"{place}.{_unquoted(context['discriminator'])}: unknown {context['tag']!r}{_nearest(context['tag'], tags)}"
        )
    if detail["loc"][-1:] == ("[key]",):
        return f"{place}: a name has lower-case letters and digits, parted by single hyphens"
    message = detail["msg"].removeprefix("Value error, ")
    shown = "" if not place or isinstance(given, dict) else f", got {given!r}"
    return f"{place + ': ' if place else ''}{message}{shown}{_number_as_text(kind, given)}"


def _unquoted(text: str) -> str:
    return text.strip("'")


def _number_as_text(kind: str, given: object) -> str:
    if kind not in {"float_type", "int_type"} or not isinstance(given, str):
        return ""
    try:
        plain = f"{Decimal(given):f}"
    except InvalidOperation:
        return ""
    return f", which is text; write {plain}" + (
        " (YAML takes 1e-3 for text, 1.0e-3 for a number)" if "e" in given else ""
    )


def _locate(loc: tuple[int | str, ...]) -> tuple[str, set[str]]:
    """Dotted path of the key at `loc`, a path as pydantic reports it, and the keys that the schema allows beside it.

    Pydantic puts the tag of a union member into the path as if it were a key; no such key is in the user's file.
    """
    schema = Config.model_json_schema()
    node: dict[str, Any] = schema
    place, siblings = [], set[str]()
    for part in loc:
        if part == "[key]":
            break
        if mapping := node.get("discriminator", {}).get("mapping"):
            node = _resolve({"$ref": mapping[part]}, schema)
            continue
        siblings = set(node.get("properties", {}))
        place.append(str(part))
        node = _resolve(_child(node, part), schema)
    return ".".join(place), siblings


def _child(node: dict[str, Any], part: int | str) -> dict[str, Any]:
    patterns = node.get("patternProperties")
    if part in node.get("properties", {}):
        return dict(node["properties"][part])
    if isinstance(patterns, dict):
        return dict(next(iter(patterns.values())))
    values = node.get("additionalProperties") or node.get("items")
    return values if isinstance(values, dict) else {}


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return dict(schema["$defs"][node["$ref"].rsplit("/", 1)[1]]) if "$ref" in node else node
