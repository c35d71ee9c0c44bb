"""Config files, before what is in them is validated."""

from collections.abc import Iterable
from pathlib import Path

import yaml

from metaplastic.io.errors import InputError


def check_files(files: Iterable[Path]) -> None:
    """Refuse config files that are no UTF-8, or have a key twice, of which YAML would take the last in silence.

    Raises:
        InputError: naming file, and key or place.
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
