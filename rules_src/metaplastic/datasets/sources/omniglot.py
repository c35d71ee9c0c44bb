"""Omniglot: 964 + 659 handwritten characters of 50 alphabets, 20 drawings each, 105x105."""

import hashlib
import io
import re

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import UInt8
from PIL import Image

from metaplastic.datasets.archives import read_zip
from metaplastic.datasets.fetch import Fetch, RemoteFile, made_from, read_raw, verify_members
from metaplastic.datasets.images import BATCH, resize
from metaplastic.datasets.schema import OMNIGLOT, TEST, TRAIN, VALIDATION, About, make_dataset
from metaplastic.datasets.spec import Omniglot

ABOUT = About(
    source="omniglot",
    title="Omniglot",
    licence="MIT",
    citation="Lake, Salakhutdinov and Tenenbaum (2015), Human-level concept learning, Science 350:1332",
)

PUBLISHED_SIDE = 28
"""Side of the images in Hsu et al. 2019."""
DRAWING = re.compile(r"images_(?:background|evaluation)/([^/]+/character\d+)/\d+_\d+\.png")
TOTAL_LIMIT = 1 << 26
"""Most bytes of all drawings of an archive together; those of the larger archive have 5 million."""
DRAWN_TRAIN, DRAWN_VALIDATION = 1100, 100
"""Numbers of characters drawn at random for training and for validation; all others test."""

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
BACKGROUND = RemoteFile(
    "images_background.zip",
    f"{URL}/images_background.zip",
    "md5:68d2efa1b9178cc56df9314c21c6e718",
    "7c563fb7d98dbd312c5e0ccb87230ca9d7e8a13d672e5de6186245e7905ed43e",
)
EVALUATION = RemoteFile(
    "images_evaluation.zip",
    f"{URL}/images_evaluation.zip",
    "md5:6b91aef0f799c5bb55b94e3f2daec811",
    "e5a69b751aa33f555bdc92febd48220b69a811b2ff01de32bf4d1bca47bd1809",
)


def prepare(spec: Omniglot, fetch: Fetch, train: RemoteFile = BACKGROUND, test: RemoteFile = EVALUATION) -> xr.Dataset:
    """Return Omniglot in the schema, `image (32460, side, side, 1)`, ink white on black as in the other sources.

    Where it is what Hsu et al. 2019 use, the attribute `benchmark` says so.

    The label is the character, and no class is in two splits. By alphabets the background characters are the training
    split and the evaluation characters the test split; by characters all 1,623 are drawn into three (Hsu et al. 2019).

    Raises:
        InputError: a file cannot be fetched, has neither the official checksum nor the official drawings, or is broken.
    """
    parts = [_part(fetch, archive, spec.side) for archive in (train, test)]
    images, names, checksum, kinds = zip(*parts, strict=True)
    origin = made_from(", ".join(sorted(set(kinds))), *checksum)
    label, characters = pd.factorize(np.concatenate(names))
    split = np.full(len(characters), TEST, np.uint8)
    if spec.classes == "alphabets":
        split[: len(set(names[0]))] = TRAIN
    else:
        order = np.random.default_rng(spec.split_seed).permutation(len(characters))
        split[order[:DRAWN_TRAIN]] = TRAIN
        split[order[DRAWN_TRAIN : DRAWN_TRAIN + DRAWN_VALIDATION]] = VALIDATION
    dataset = make_dataset(
        np.concatenate(images), label, split[label], ABOUT, class_names=characters.tolist(), **origin
    )
    published = spec.classes == "characters" and spec.side == PUBLISHED_SIDE
    return dataset.assign_attrs(benchmark=OMNIGLOT) if published else dataset


def _part(
    fetch: Fetch, archive: RemoteFile, side: int
) -> tuple[UInt8[np.ndarray, "example {side} {side} 1"], list[str], str, str]:
    """Return drawings in the order of names, their characters, the line of their checksum and what it is of."""
    mirrored = fetch.mirrored(ABOUT.source, archive.name)
    # The mirror's archive may be packed anew, so it is read before anyone knows whether its members are right.
    raw = read_raw(mirrored) if mirrored else fetch(ABOUT.source, archive)
    members = read_zip(io.BytesIO(raw.content), DRAWING.fullmatch, place=raw.path, limit=1 << 16, total=TOTAL_LIMIT)
    drawings = sorted(dict(members).items())
    line, kind = raw.checksum_line, "official files"
    if f"md5:{hashlib.md5(raw.content, usedforsecurity=False).hexdigest()}" != archive.checksum:
        line, kind = verify_members(drawings, archive, raw.path, whole=archive.checksum), "members"
    batches = (np.stack([_ink(png) for _, png in drawings[n : n + BATCH]]) for n in range(0, len(drawings), BATCH))
    images = np.concatenate([resize(batch[..., None], side, source=ABOUT.source) for batch in batches])
    return images, [DRAWING.sub(r"\1", name) for name, _ in drawings], line, kind


def _ink(png: bytes) -> UInt8[np.ndarray, "105 105"]:
    return 255 - np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]).convert("L"))
