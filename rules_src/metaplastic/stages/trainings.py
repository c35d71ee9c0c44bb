"""What stages share that train something: the folder of its states, and what is left when it has ended."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from metaplastic.config.base import Section, canonical_json, same_section
from metaplastic.io.storage import write_folder, write_zarr
from metaplastic.training.checkpoint import read_history, versions
from metaplastic.training.loop import HISTORY, SNAPSHOTS, Folder


def folder_of(state: Path, section: Section, *, code: str, data: str, without: Sequence[str] = ()) -> Folder:
    """Return the folder below `state` of a training: it goes on only from what equal code made of equal data.

    The fingerprint `code` is of the source that a state depends on, the hash `data` of everything that the training
    reads; keys of the section in `without` change no result.
    """
    record = {"config": canonical_json(section, without=without), "code": code, "data": data, **versions()}
    return Folder(state / f"{code}-{data}", record, partial(same_section, type(section)))


def write_training(folder: Folder, snapshots: Path, history: Path, attributes: dict[str, Any], **made: Any) -> None:
    """Write the snapshots that a finished training has kept, and its history, each with a manifest of what made it."""
    write_folder(folder.path / SNAPSHOTS, snapshots, **made)
    write_zarr(read_history(folder.path / HISTORY).assign_attrs(attributes), history, **made)
