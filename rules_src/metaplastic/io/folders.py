"""Folders that results are to be written to, before any work is done for them."""

import os
from pathlib import Path

from metaplastic.io.errors import InputError


def check_writable(folder: Path, place: str) -> None:
    """Let a folder pass that can be written to, or made where it is not there yet.

    Args:
        folder: it need not exist.
        place: what named it; begins the message.

    Raises:
        InputError: naming what stands in the way.
    """
    above = next(each for each in [folder.absolute(), *folder.absolute().parents] if _is_there(each))
    if not above.is_dir():
        raise InputError(f"{place}: {above} is no folder; give another, or move it away")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{place}: {above} cannot be written to; give another")


def _is_there(path: Path) -> bool:
    """Also what is a link to nowhere."""
    return path.is_symlink() or path.exists()
