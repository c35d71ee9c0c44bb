"""Large Movie Review, labelled part: 25,000 + 25,000 reviews, positive or negative."""

import re

import numpy as np
import xarray as xr

from metaplastic.datasets.schema import About, feature_dataset
from metaplastic.datasets.sources.archives import read_tar
from metaplastic.datasets.sources.fetch import Fetch, RemoteFile, checksum_line, members_digest
from metaplastic.datasets.spec import Imdb
from metaplastic.datasets.text import bag_of_words
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
"""A mirror may hold the labelled reviews alone, in an archive of its own."""

LABELLED_MEMBERS = "4a887802878b183a84b2409fb3403b9648ce849ba6c6f28b5ec092e590fbd8d5"

REVIEW = re.compile(r"aclImdb/(train|test)/(pos|neg)/\d+_\d+\.txt")
MEMBER_LIMIT = 1 << 20
LABELLED_LIMIT = 1 << 28
"""Bytes that the archive of the labelled reviews may unpack to; it has 104 million."""


def prepare(
    spec: Imdb, fetch: Fetch, archive: RemoteFile = ARCHIVE, labelled_members: str = LABELLED_MEMBERS
) -> xr.Dataset:
    """Bags of words of the reviews, `feature (50000, vocabulary)`, label 1 if positive; the split is the official one.

    Raises:
        InputError: the archive cannot be had, has the wrong checksum or is broken, or the vocabulary is too large.
    """
    reviews, checksum, kind = _reviews(fetch, archive, labelled_members)
    places = [match.groups() for match in map(REVIEW.fullmatch, reviews) if match]
    test = np.array([part == "test" for part, _ in places])
    bag = bag_of_words([review.decode("utf-8", "replace") for review in reviews.values()], test, spec.vocabulary)
    return feature_dataset(
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
    """Reviews by name in alphabetical order, the line of checksum and what it is of."""
    labelled = fetch.mirrored(ABOUT.source, LABELLED)
    path = fetch(ABOUT.source, archive) if labelled is None else labelled
    # What was fetched has the right checksum already; the mirror's archive is known by its members alone.
    limits = {"limit": MEMBER_LIMIT} if labelled is None else {"limit": MEMBER_LIMIT, "total": LABELLED_LIMIT}
    members = read_tar(path, lambda name: REVIEW.fullmatch(name) is not None, place=path, **limits)
    reviews = dict(sorted(members))
    if labelled is None:
        return reviews, checksum_line(archive.name, path), "official files"
    if (got := members_digest(reviews.items())) != labelled_members:
        raise InputError(
            f"{path}: wrong checksum, expected members of sha256:{labelled_members}, got members of sha256:{got}; "
            "replace the file"
        )
    return reviews, f"{got}  {LABELLED}", "members"
