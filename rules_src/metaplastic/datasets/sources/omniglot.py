"""Omniglot: 964 + 659 handwritten characters of 50 alphabets, 20 drawings each, 105x105."""

import hashlib
import io
import re
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import UInt8
from PIL import Image

from metaplastic.datasets.archives import read_zip
from metaplastic.datasets.fetch import Fetch, RemoteFile, members_digest, read_raw
from metaplastic.datasets.images import BATCH, resize
from metaplastic.datasets.schema import TEST, TRAIN, VALIDATION, About, Split, make_dataset
from metaplastic.datasets.spec import Omniglot
from metaplastic.io.errors import InputError

ABOUT = About(
    source="omniglot",
    title="Omniglot",
    licence="MIT",
    citation="Lake, Salakhutdinov and Tenenbaum (2015), Human-level concept learning, Science 350:1332",
)

SIDE = 105
DRAWING = re.compile(r"images_(?:background|evaluation)/([^/]+/character\d+)/\d+_\d+\.png")
MEMBER_LIMIT = 1 << 16
TOTAL_LIMIT = 1 << 26
"""Most bytes of all drawings of an archive together; those of the larger archive have 5 million."""
DRAWN_TRAIN, DRAWN_VALIDATION = 1100, 100
"""Numbers of characters drawn at random for training and for validation; all others test."""


class Part(NamedTuple):
    """One of the two archives, and the digest of its drawings for copies that were packed anew."""

    archive: RemoteFile
    members: str


def _part(name: str, md5: str, members: str) -> Part:
    url = f"https://raw.githubusercontent.com/brendenlake/omniglot/master/python/{name}"
    return Part(RemoteFile(name, url, f"md5:{md5}"), members)


BACKGROUND = _part(
    "images_background.zip",
    "68d2efa1b9178cc56df9314c21c6e718",
    "7c563fb7d98dbd312c5e0ccb87230ca9d7e8a13d672e5de6186245e7905ed43e",
)
EVALUATION = _part(
    "images_evaluation.zip",
    "6b91aef0f799c5bb55b94e3f2daec811",
    "e5a69b751aa33f555bdc92febd48220b69a811b2ff01de32bf4d1bca47bd1809",
)


def prepare(spec: Omniglot, fetch: Fetch, train: Part = BACKGROUND, test: Part = EVALUATION) -> xr.Dataset:
    """Return Omniglot in the schema, `image (32460, side, side, 1)`, ink white on black as in the other sources.

    The label is the character, and no class is in two splits. By alphabets the background characters are the training
    split and the evaluation characters the test split; by characters all 1,623 are drawn into three (Hsu et al. 2019).

    Raises:
        InputError: a file cannot be fetched, has neither the official checksum nor the official drawings, or is broken.
    """
    images, names, checksum, kinds = [], [], [], set()
    for part in (train, test):
        drawings, line, kind = _drawings(fetch, part)
        images.append(_decode(drawings, spec.side))
        names.append([DRAWING.sub(r"\1", name) for name in drawings])
        checksum.append(line)
        kinds.add(kind)
    class_names = [name for part_names in names for name in dict.fromkeys(part_names)]
    index = {name: label for label, name in enumerate(class_names)}
    label = np.array([index[name] for part_names in names for name in part_names], np.int32)
    return make_dataset(
        np.concatenate(images),
        label,
        _split_of_character(spec, len(set(names[0])), len(class_names))[label],
        ABOUT,
        class_names=class_names,
        checksum=checksum,
        checksum_kind=", ".join(sorted(kinds)),
    )


def _split_of_character(spec: Omniglot, background: int, characters: int) -> Split:
    if spec.classes == "alphabets":
        return np.where(np.arange(characters) < background, TRAIN, TEST).astype(np.uint8)
    order = np.random.default_rng(spec.split_seed).permutation(characters)
    split = np.full(characters, TEST, np.uint8)
    split[order[:DRAWN_TRAIN]] = TRAIN
    split[order[DRAWN_TRAIN : DRAWN_TRAIN + DRAWN_VALIDATION]] = VALIDATION
    return split


def _drawings(fetch: Fetch, part: Part) -> tuple[dict[str, bytes], str, str]:
    """Return drawings by name in alphabetical order, the line of their checksum and what the checksum is of."""
    archive = part.archive
    mirrored = fetch.mirrored(ABOUT.source, archive.name)
    # The mirror's archive may be packed anew, so it is read before anyone knows whether its members are right.
    raw = read_raw(mirrored) if mirrored else fetch(ABOUT.source, archive)
    members = read_zip(
        io.BytesIO(raw.content), DRAWING.fullmatch, place=raw.path, limit=MEMBER_LIMIT, total=TOTAL_LIMIT
    )
    drawings = dict(sorted(members))
    if f"md5:{hashlib.md5(raw.content, usedforsecurity=False).hexdigest()}" == archive.checksum:
        return drawings, raw.checksum_line, "official files"
    if (got := members_digest(drawings.items())) != part.members:
        raise InputError(
            f"{raw.path}: wrong checksum, expected {archive.checksum} or members of sha256:{part.members}, "
            f"got members of sha256:{got}; replace the file"
        )
    return drawings, f"{got}  {archive.name}", "members"


def _decode(drawings: dict[str, bytes], side: int) -> UInt8[np.ndarray, "example {side} {side} 1"]:
    items = list(drawings.items())
    batches = (np.stack([_ink(*item) for item in items[n : n + BATCH]]) for n in range(0, len(items), BATCH))
    return np.concatenate([resize(batch[..., None], side, source=ABOUT.source) for batch in batches])


def _ink(name: str, png: bytes) -> UInt8[np.ndarray, "105 105"]:
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            if image.size != (SIDE, SIDE):
                raise ValueError(f"{image.size} pixels")
            return 255 - np.asarray(image.convert("L"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"omniglot: {name}: no PNG of {SIDE}x{SIDE} pixels ({error}); replace the archive") from error
