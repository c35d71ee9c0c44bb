"""Where to find the theta files that come with the project; planning needs this without JAX."""

from collections.abc import Sequence
from pathlib import Path

import metaplastic
from metaplastic.io.errors import InputError

PACKAGE = Path(metaplastic.__file__).parent
FOLDERS = (PACKAGE / "pretrained", PACKAGE.parents[1] / "data/pretrained")
"""Their places in an installed wheel and in a checkout."""
DEFAULT = "generalist"
"""The default rule."""


def packaged_files(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the files of weights in folders by their names without the ending; of two the first one counts."""
    return {file.stem: file for folder in reversed(folders) for file in sorted(folder.glob("*.safetensors"))}


def pretrained_files() -> dict[str, Path]:
    """Return the theta files that this installation has, by the names of their rules."""
    return packaged_files(FOLDERS)


def pretrained_file(name: str) -> Path:
    """Return the theta file of the rule `name`.

    Raises:
        InputError: this installation has no such rule.
    """
    found = pretrained_files()
    if name not in found:
        mend = f"take one of: {', '.join(sorted(found))}" if found else "meta-train one and give the path of its theta"
        raise InputError(f"no pretrained rule {name!r} in {' or '.join(map(str, FOLDERS))}; {mend}")
    return found[name]
