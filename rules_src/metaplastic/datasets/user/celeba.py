"""CelebA (Liu et al. 2015): faces and what 40 attributes say of each; from a folder, since nobody may pass it on."""

from collections.abc import Set
from pathlib import Path

import numpy as np
import xarray as xr

from metaplastic.datasets.schema import TEST, TRAIN, VALIDATION, About, image_dataset, with_attributes
from metaplastic.datasets.sources.fetch import Fetch, checksum_line
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
"""Splits by the number that the list of the partition has for them."""
SPLIT_OF_ATTRIBUTE = np.repeat(np.array([TRAIN, VALIDATION, TEST], np.uint8), [20, 10, 10])
"""In the order of the list, so that no two splits have tasks of the same attribute (Hsu et al. 2019)."""
LIMIT = 1 << 27
"""Bytes that a list may have; the longer one has 27 million."""


def prepare(spec: Celeba, fetch: Fetch) -> xr.Dataset:
    """The faces in the schema, with attributes in place of classes; nothing is fetched.

    Raises:
        InputError: a list is broken or disagrees with the images, a split has none, or as for `read_images`; the
            message names the file.
    """
    root = Path(spec.path)
    images, attributes, partition = (root / name for name in spec.files)
    names, answers = _attributes(attributes)
    parts = _rows(partition, _lines(partition), 1, {"0", "1", "2"}, first=1)
    paths = image_files(images)
    for path, listed in ((attributes, answers), (partition, parts)):
        _check_same(path, listed.keys(), images, {path.name for path in paths})
    values = np.array([[answer == "1" for answer in answers[path.name]] for path in paths])
    split = np.array([OFFICIAL[int(parts[path.name][0])] for path in paths], np.uint8)
    for code, name in ((TRAIN, "training"), (TEST, "test")):
        if code not in split:
            raise InputError(f"{partition}: no {name} image; give some")
    pictures = read_images(paths, root, side=spec.side, colour=True)
    checksum = [
        f"{pictures.digest}  {images.name}",
        *(checksum_line(path.name, path) for path in (attributes, partition)),
    ]
    described = {"class_names": ["face"], "checksum": checksum, "checksum_kind": "members of the folder, lists"}
    dataset = image_dataset(pictures.pixels, np.zeros(len(paths), np.int32), split, ABOUT, **described)
    return with_attributes(dataset, values, SPLIT_OF_ATTRIBUTE, names)


def _attributes(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Names of the attributes, and what each image has of them, 1 or -1."""
    lines = _lines(path)
    count, header, lines = "".join(lines[:1]).strip(), "".join(lines[1:2]), lines[2:]
    names = header.split()
    if len(set(names)) != len(SPLIT_OF_ATTRIBUTE):
        raise InputError(
            f"{path}: line 2 has {len(set(names))} attributes; give the {len(SPLIT_OF_ATTRIBUTE)} of CelebA"
        )
    if count != str(len(lines)):
        raise InputError(f"{path}: line 1 says {count!r}, but {len(lines)} images follow; give the whole list")
    return names, _rows(path, lines, len(names), {"1", "-1"}, first=3)


def _lines(path: Path) -> list[str]:
    size = path.stat().st_size
    if size > LIMIT:
        raise InputError(f"{path}: {size} bytes, more than the {LIMIT} that are read; give the list of CelebA")
    try:
        return path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is no ASCII; give the list of CelebA") from error


def _rows(path: Path, lines: list[str], width: int, valid: Set[str], *, first: int) -> dict[str, list[str]]:
    """By the name of the image, the values after it."""
    rows: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=first):
        name, *values = line.split() or [""]
        if len(values) != width or not valid >= set(values):
            expected = " or ".join(sorted(valid))
            raise InputError(f"{path}: line {number} is no name of an image and {width} times {expected}")
        if name in rows:
            raise InputError(f"{path}: line {number}: {name!r} is there twice; keep one")
        rows[name] = values
    return rows


def _check_same(path: Path, listed: Set[str], images: Path, there: Set[str]) -> None:
    for missing, where, other in ((listed - there, images, path), (there - listed, path, images)):
        if missing:
            raise InputError(f"{where}: lacks {len(missing)} images that {other} has, such as {min(missing)!r}")
