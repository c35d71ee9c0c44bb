"""Large Movie Review, labelled part: 25,000 + 25,000 reviews, positive or negative."""

import lzma
import re
import tarfile
from pathlib import Path

import numpy as np
import xarray as xr

from metaplastic.datasets.archives import read_tar
from metaplastic.datasets.fetch import Fetch, RemoteFile, members_digest
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
)

LABELLED = "aclImdb_labelled_50k.tar.xz"
"""Archive of only the labelled reviews, which a mirror may hold instead; the checksum is of its members."""

LABELLED_MEMBERS = "4a887802878b183a84b2409fb3403b9648ce849ba6c6f28b5ec092e590fbd8d5"

REVIEW = re.compile(r"aclImdb/(train|test)/(pos|neg)/\d+_\d+\.txt")
LABELLED_LIMIT = 1 << 28
"""Most bytes of the unpacked archive of the labelled reviews; it has 104 million."""


def prepare(
    spec: Imdb, fetch: Fetch, archive: RemoteFile = ARCHIVE, labelled_members: str = LABELLED_MEMBERS
) -> xr.Dataset:
    """Count words of the reviews, `feature (50000, vocabulary)`, label 1 if positive; the split is the official one.

    Raises:
        InputError: the archive cannot be fetched, has the wrong checksum or is broken, or the vocabulary is too large.
    """
    reviews, checksum, kind = _reviews(fetch, archive, labelled_members)
    places = [match.groups() for match in map(REVIEW.fullmatch, reviews) if match]
    test = np.array([part == "test" for part, _ in places])
    bag = bag_of_words([review.decode("utf-8", "replace") for review in reviews.values()], test, spec.vocabulary)
    return make_dataset(
        bag.counts,
        np.array([sentiment == "pos" for _, sentiment in places], np.int32),
        test,
        ABOUT,
        class_names=["negative", "positive"],
        words=bag.words,
        checksum=[checksum],
        checksum_kind=kind,
    )


def _reviews(fetch: Fetch, archive: RemoteFile, labelled_members: str) -> tuple[dict[str, bytes], str, str]:
    """Return reviews by name in alphabetical order, the line of their checksum and what the checksum is of."""
    path = fetch.mirrored(ABOUT.source, LABELLED)
    if path is None:
        raw = fetch(ABOUT.source, archive)
        return dict(sorted(read_tar(raw.content, REVIEW.fullmatch).items())), raw.checksum_line, "official files"
    reviews = dict(sorted(_labelled(path).items()))
    if (got := members_digest(reviews.items())) != labelled_members:
        raise InputError(
            f"{path}: wrong checksum, expected members of sha256:{labelled_members}, got members of sha256:{got}; "
            "replace the file"
        )
    return reviews, f"{got}  {LABELLED}", "members"


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
