"""Large Movie Review, labelled part: 25,000 + 25,000 reviews, positive or negative."""

import lzma
import re
import tarfile
from pathlib import Path

import numpy as np
import xarray as xr

from metaplastic.datasets.archives import read_tar
from metaplastic.datasets.fetch import Fetch, RemoteFile, made_from, verify_members
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.sources.text import bag_of_words
from metaplastic.datasets.spec import Imdb
from metaplastic.io.errors import InputError

ABOUT = About(
    source="imdb",
    title="Large Movie Review",
    licence="none stated",
    citation="Maas, Daly, Pham, Huang, Ng and Potts (2011), Learning word vectors for sentiment analysis, ACL",
)

ARCHIVE = RemoteFile(
    "aclImdb_v1.tar.gz",
    "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    "sha256:c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
    "4a887802878b183a84b2409fb3403b9648ce849ba6c6f28b5ec092e590fbd8d5",
)
LABELLED = "aclImdb_labelled_50k.tar.xz"
"""Archive of only the labelled reviews, which a mirror may hold instead; the last checksum is of its members."""

REVIEW = re.compile(r"aclImdb/(train|test)/(pos|neg)/\d+_\d+\.txt")
LABELLED_LIMIT = 1 << 28
"""Most bytes of the unpacked archive of the labelled reviews; it has 104 million."""


def prepare(spec: Imdb, fetch: Fetch, archive: RemoteFile = ARCHIVE) -> xr.Dataset:
    """Count words of the reviews, `feature (50000, vocabulary)`, label 1 if positive; the split is the official one.

    Raises:
        InputError: the archive cannot be fetched, has the wrong checksum or is broken, or the vocabulary is too large.
    """
    if path := fetch.mirrored(ABOUT.source, LABELLED):
        reviews = _labelled(path)
        origin = made_from("members", verify_members(reviews.items(), archive, path))
    else:
        raw = fetch(ABOUT.source, archive)
        reviews, origin = read_tar(raw.content, REVIEW.fullmatch), made_from("official files", raw)
    names = sorted(reviews)
    test, positive = (np.array([f"/{part}/" in name for name in names]) for part in ("test", "pos"))
    texts = [reviews[name].decode("utf-8", "replace") for name in names]
    counts, words = bag_of_words(texts, test, spec.vocabulary)
    label = positive.astype(np.int32)
    said = {"class_names": ["negative", "positive"], "words": words, "weighting": spec.weighting}
    return make_dataset(counts, label, test, ABOUT, **said, **origin)


def _labelled(path: Path) -> dict[str, bytes]:
    """Read an unverified archive, and unpack at most `LABELLED_LIMIT` bytes of it."""
    try:
        with lzma.open(path) as file:
            content = file.read(LABELLED_LIMIT + 1)
        if len(content) > LABELLED_LIMIT:
            raise InputError(f"{path}: unpacks to more than {LABELLED_LIMIT} bytes; replace the file")
        return read_tar(content, REVIEW.fullmatch, mode="r:")
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, IndexError, ValueError) as error:
        raise InputError(f"{path}: truncated or no tar archive ({error}); replace the file") from error
