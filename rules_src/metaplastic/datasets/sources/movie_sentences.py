"""Sentences of movie reviews with a mean sentiment rating, from vaderSentiment's source distribution."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from metaplastic.datasets.archives import read_tar
from metaplastic.datasets.fetch import Fetch, by_mirror, made_from, read_raw, verify
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.sources.text import bag_of_words
from metaplastic.datasets.spec import MovieSentences
from metaplastic.datasets.splits import stratified_test_mask
from metaplastic.io.errors import InputError

ABOUT = About(
    source="movie-sentences",
    title="Movie-review sentences rated for sentiment",
    licence="MIT",
    citation="Hutto and Gilbert (2014), VADER: a parsimonious rule-based model for sentiment analysis, ICWSM",
)

ARCHIVE = "vaderSentiment-3.3.2.tar.gz"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
SENTENCES = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def prepare(spec: MovieSentences, fetch: Fetch) -> xr.Dataset:
    """Count words of the 10,568 sentences not rated zero, `feature (10568, vocabulary)`; label 1 is positive.

    Raises:
        InputError: the archive cannot be fetched or has the wrong checksum, or the training texts have fewer words than
            the vocabulary.
    """
    path = fetch.mirrored(ABOUT.source, ARCHIVE) or fetch.cache / ABOUT.source / ARCHIVE
    if not path.exists():
        _download(path)
    raw = read_raw(path)
    verify(raw.content, f"sha256:{SHA256}", path)
    ratings, texts = zip(*(rated for rated in read_sentences(raw.content) if rated[0]), strict=True)
    label = (np.array(ratings) > 0).astype(np.int32)
    test, names = stratified_test_mask(label, spec.test_fraction, spec.split_seed), ["negative", "positive"]
    counts, words = bag_of_words(texts, test, spec.vocabulary)
    origin = made_from("official files", raw)
    about_words = {"words": words, "weighting": spec.weighting}
    return make_dataset(counts, label, test, ABOUT, class_names=names, **about_words, **origin)


def read_sentences(archive: bytes) -> list[tuple[float, str]]:
    """Return the rating and the text of all sentences in the source distribution, those rated 0 included."""
    inner = read_tar(archive, INNER_ARCHIVE.__eq__)[INNER_ARCHIVE]
    content = read_tar(inner, SENTENCES.__eq__)[SENTENCES]
    lines = (line.decode().split("\t", 2) for line in content.splitlines())
    return [(float(rating), text) for _, rating, text in lines]


def _download(path: Path) -> None:
    # pip uses the package index that the user has configured. It checks the hash, then asks the build script for
    # metadata in a process and environment of its own; it does not install the package.
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        requirement = Path(folder, "requirement.txt")
        requirement.write_text(f"vaderSentiment==3.3.2 --hash=sha256:{SHA256}\n")
        options = ["--no-deps", "--no-binary=vaderSentiment", "--require-hashes", "--no-input", "--quiet"]
        files = [f"--dest={folder}", f"--requirement={requirement}"]
        command = [sys.executable, "-m", "pip", "download", *options, *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [" ".join(line.split()) for line in done.stderr.splitlines() if line.strip()]
            reason = next((line for line in lines if line.startswith("ERROR")), "no reason given")
            raise InputError(f"{ARCHIVE}: pip download failed: {reason}; {by_mirror(ABOUT.source, ARCHIVE)}")
        Path(folder, ARCHIVE).replace(path)
