"""The whole config: sections keyed by name, and the study that combines them. Loaded by the workflow alone."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, ValidationError, model_validator

from rules_src.config.apply import Apply
from rules_src.config.base import Name, Section, short_hash
from rules_src.config.datasets import Data, Dataset
from rules_src.config.evaluate import Baseline, FewShot
from rules_src.config.meta_train import MetaTrain
from rules_src.config.rules import BaseModel, MetaTrained, Rule
from rules_src.errors import InputError


class Study(Section):
    """What is compared on what: every name is a key of the tables below."""

    datasets: list[Name]
    base_models: list[Name]
    rules: list[Name]
    baselines: list[Name] = []


class Config(Section):
    """The workflow's config."""

    results: str = "results"
    """Folder for everything that the workflow makes."""
    study: Study
    data: Data = Data()
    datasets: dict[Name, Dataset]
    base_models: dict[Name, BaseModel]
    rules: dict[Name, Rule]
    baselines: dict[Name, Baseline] = {}
    meta_train: dict[Name, MetaTrain] = Field(default_factory=dict)
    apply: Apply = Apply()
    few_shot: FewShot = FewShot()

    @model_validator(mode="after")
    def _names_exist(self) -> "Config":
        for table in ("datasets", "base_models", "rules", "baselines"):
            for name in getattr(self.study, table):
                _look_up(name, getattr(self, table), f"study.{table}", table)
        for name, rule in self.rules.items():
            if isinstance(rule, MetaTrained):
                _look_up(rule.run, self.meta_train, f"rules.{name}.run", "meta_train")
        for name, run in self.meta_train.items():
            place = f"meta_train.{name}.tasks.dataset"
            _look_up(run.tasks.dataset, self.datasets, place, "datasets")
            if self.datasets[run.tasks.dataset].source != "letters":
                raise ValueError(f"{place}: {run.tasks.dataset!r} is not a dataset of source 'letters'")
            for held_out in run.held_out.datasets:
                _look_up(held_out, self.datasets, f"meta_train.{name}.held_out.datasets", "datasets")
        for name in self.rules.keys() & self.baselines.keys():
            raise ValueError(f"baselines.{name}: the name is taken by rules.{name}; rename one of them")
        return self


def meta_train_folder(config: Config, run: str) -> str:
    """`<run>-<hash of its spec and of the specs of its datasets>`: a changed number never overwrites a long run."""
    spec = config.meta_train[run]
    names = sorted({spec.tasks.dataset, *spec.held_out.datasets})
    return f"{run}-{short_hash(spec, *(config.datasets[name] for name in names))}"


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
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"config: unknown key {place!r}{_nearest(str(first['loc'][-1]), _valid_keys(first['loc'][:-1]))}"
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    given = f", got {first['input']!r}" if place and first["type"] != "missing" else ""
    return f"config: {place + ': ' if place else ''}{message}{given}{more}"


def _valid_keys(place: tuple[int | str, ...]) -> set[str]:
    """Keys that the schema allows at `place`, a path as pydantic reports it (union tags included)."""
    schema = Config.model_json_schema()
    nodes = [schema]
    for part in place:
        nodes = [found for node in nodes for found in _step(_resolve(node, schema), part, schema)]
    return {key for node in nodes for key in _resolve(node, schema).get("properties", {})}


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node


def _step(node: dict[str, Any], part: int | str, schema: dict[str, Any]) -> list[dict[str, Any]]:
    if mapping := node.get("discriminator", {}).get("mapping"):
        return [{"$ref": mapping[part]}] if part in mapping else []
    if part in node.get("properties", {}):
        return [node["properties"][part]]
    if isinstance(node.get("patternProperties"), dict):
        return list(node["patternProperties"].values())
    values = node.get("additionalProperties") or node.get("items")
    return [values] if isinstance(values, dict) else []
