"""CelebA (Liu et al. 2015), faces with 40 attributes each, from a folder, since its licence forbids passing it on."""

from collections.abc import Set
from pathlib import Path

import numpy as np
import xarray as xr

from metaplastic.datasets.fetch import Fetch, RawFile, made_from, read_raw
from metaplastic.datasets.schema import TEST, TRAIN, VALIDATION, About, make_dataset, with_attributes
from metaplastic.datasets.spec import Celeba
from metaplastic.datasets.user.image_files import image_files, read_images
from metaplastic.io.errors import InputError

ABOUT = About(
    source="celeba",
    title="CelebFaces Attributes",
    licence="non-commercial research",
    citation="Liu, Luo, Wang and Tang (2015), Deep learning face attributes in the wild, ICCV",
)

OFFICIAL = (TRAIN, VALIDATION, TEST)
"""Splits by their number in the list of the partition."""
SPLIT_OF_ATTRIBUTE = np.repeat(np.array(OFFICIAL, np.uint8), [20, 10, 10])
"""In the order of the list; no two splits have tasks of the same attribute (Hsu et al. 2019)."""
LIMIT = 1 << 27
"""Most bytes of a list; the longer one has 27 million."""


def prepare(spec: Celeba, fetch: Fetch) -> xr.Dataset:
    """Return the faces in the schema, with attributes in place of classes; fetch nothing.

    Raises:
        InputError: a list is broken or disagrees with the images, a split has none, or as for `read_images`; the
            message names the file.
    """
    root = Path(spec.path)
    images, attributes, partition = (root / name for name in spec.files)
    lists, (described, assigned) = zip(*map(_read_list, (attributes, partition)), strict=True)
    names, answers = _attributes(attributes, described)
    parts = _rows(partition, assigned, 1, {"0", "1", "2"}, first=1)
    paths = image_files(images)
    there = {path.name for path in paths}
    for path, listed in ((attributes, answers.keys()), (partition, parts.keys())):
        for missing, where, other in ((listed - there, images, path), (there - listed, path, images)):
            if missing:
                raise InputError(f"{where}: lacks {len(missing)} images that {other} has, such as {min(missing)!r}")
    values = np.array([[answer == "1" for answer in answers[path.name]] for path in paths])
    split = np.array([OFFICIAL[int(parts[path.name][0])] for path in paths], np.uint8)
    for code, name in ((TRAIN, "training"), (TEST, "test")):
        if code not in split:
            raise InputError(f"{partition}: no {name} image; give some")
    pixels, digest = read_images(paths, root, side=spec.side, colour=True)
    origin = made_from("members of the folder, lists", f"{digest}  {images.name}", *lists)
    dataset = make_dataset(pixels, np.zeros(len(paths), np.int32), split, ABOUT, class_names=["face"], **origin)
    return with_attributes(dataset, values, SPLIT_OF_ATTRIBUTE, names)


def _attributes(path: Path, lines: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the names of the attributes, and 1 or -1 for each attribute of each image."""
    count, names, lines = "".join(lines[:1]).strip(), "".join(lines[1:2]).split(), lines[2:]
    if (found := len(set(names))) != len(SPLIT_OF_ATTRIBUTE):
        raise InputError(f"{path}: line 2 has {found} attributes; give the {len(SPLIT_OF_ATTRIBUTE)} of CelebA")
    if count != str(len(lines)):
        raise InputError(f"{path}: line 1 says {count!r}, but {len(lines)} images follow; give the whole list")
    return names, _rows(path, lines, len(names), {"1", "-1"}, first=3)


def _read_list(path: Path) -> tuple[RawFile, list[str]]:
    """Return a list and its lines."""
    if (size := path.stat().st_size) > LIMIT:
        raise InputError(f"{path}: {size} bytes, more than the {LIMIT} that are read; give the list of CelebA")
    raw = read_raw(path)
    try:
        return raw, raw.content.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not ASCII; give the list of CelebA") from error


def _rows(path: Path, lines: list[str], width: int, valid: Set[str], *, first: int) -> dict[str, list[str]]:
    """Return the values of each image by its name."""
    rows: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=first):
        name, *values = line.split() or [""]
        if len(values) != width or not valid >= set(values):
            expected = " or ".join(sorted(valid))
            raise InputError(f"{path}: line {number} is not the name of an image and {width} times {expected}")
        if name in rows:
            raise InputError(f"{path}: line {number}: {name!r} is there twice; keep one")
        rows[name] = values
    return rows
