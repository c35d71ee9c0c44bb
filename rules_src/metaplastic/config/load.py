"""From config files to the validated config."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from metaplastic.config.messages import explain
from metaplastic.config.study import Config, Runs
from metaplastic.io.errors import InputError

Validated = TypeVar("Validated", Config, Runs)


def load(raw: Mapping[str, Any]) -> Config:
    """Validate a parsed config.

    Raises:
        InputError: naming the first wrong key and, where one is close, the valid key that was probably meant.
    """
    return _validated(Config, raw)


def load_runs(raw: Mapping[str, Any]) -> Runs:
    """Validate the sections of a parsed config that meta-training reads; the other sections of `Config` are ignored.

    Raises:
        InputError: as for `load`.
    """
    ignored = Config.model_fields.keys() - Runs.model_fields.keys()
    return _validated(Runs, {key: section for key, section in raw.items() if key not in ignored})


def _validated(model: type[Validated], raw: Mapping[str, Any]) -> Validated:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InputError(explain(error, raw)) from error


def check_files(files: Iterable[Path]) -> None:
    """Refuse config files that are not UTF-8 or have a key twice, of which YAML would silently take the last.

    Raises:
        InputError: naming the file, and the key or the place.
    """
    for file in files:
        try:
            _check_keys(yaml.compose(file.read_text(encoding="utf-8")), file)
        except UnicodeDecodeError as error:
            raise InputError(f"{file}: byte {error.start} is no UTF-8; save the file as UTF-8") from error
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise InputError(f"{file}: no YAML ({' '.join(str(error).split())})") from error


def _check_keys(node: yaml.Node | None, file: Path) -> None:
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _check_keys(child, file)
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, child in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                raise InputError(
                    f"{file}: key {name!r} is in lines {lines[name]} and {line}; YAML takes the last alone"
                )
            lines[name] = line
            _check_keys(child, file)
