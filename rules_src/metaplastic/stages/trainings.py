"""What stages share that train something: the folder of its states, and what is left when it has ended."""

import shutil
from collections.abc import Sequence
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from metaplastic.config.base import Section, canonical_json, same_section, short_hash
from metaplastic.embeddings.spec import Embedding
from metaplastic.few_shot.spec import MetaLearned
from metaplastic.io.storage import write_manifest, write_whole, write_zarr
from metaplastic.training.checkpoint import read_history, saved_steps, versions
from metaplastic.training.loop import HISTORY, SNAPSHOTS, Folder


def folder_of(state: Path, section: Section, *, code: str, data: str, without: Sequence[str] = ()) -> Folder:
    """Return the folder below `state` of a training: it goes on only from what equal code made of equal data.

    The fingerprint `code` is of the source that a state depends on, the hash `data` of everything that the training
    reads; keys of the section in `without` change no result.
    """
    record = {"config": canonical_json(section, without=without), "code": code, "data": data, **versions()}
    return Folder(state / f"{code}-{data}", record, partial(same_section, type(section)))


def folder_of_descent(state: Path, section: Embedding | MetaLearned, *, code: str, data: Sequence[str]) -> Folder:
    """Return the folder of a training by gradient descent: a longer one goes on where a shorter one has ended.

    If a training that recorded other steps has the folder, this one takes the next free one.
    """
    # The cores tell how it is compiled, on which the last bits depend.
    key = short_hash(*data, str(section.cores), canonical_json(section, without=["steps"], defaults=False))
    folder = folder_of(state, section, code=code, data=key)
    folder = folder._replace(same=partial(same_section, type(section), without=["steps"]))
    paths = chain([folder.path], (state / f"{folder.path.name}-{number}" for number in count(2)))
    steps = getattr(section, "steps", [0])
    return folder._replace(path=next(path for path in paths if _goes_on(path, steps)))


def _goes_on(path: Path, steps: Sequence[int]) -> bool:
    """Return whether a training that records at `steps` can continue from what is in a folder."""
    newest, recorded = max(saved_steps(path), default=-1), set(saved_steps(path / SNAPSHOTS))
    return newest <= steps[-1] and {step for step in steps if step <= newest} <= recorded <= set(steps)


def write_training(folder: Folder, snapshots: Path, history: Path, attributes: dict[str, Any], **made: Any) -> None:
    """Write the snapshots that a finished training has kept, and its history, each with a manifest of what made it."""
    write_whole(snapshots, lambda temporary: shutil.copytree(folder.path / SNAPSHOTS, temporary))
    write_manifest(snapshots, **made)
    write_zarr(read_history(folder.path / HISTORY).assign_attrs(attributes), history, **made)
