import numpy as np
import pytest
from metaplastic.datasets.fetch import Fetch
from metaplastic.datasets.sources import movie_sentences
from metaplastic.datasets.spec import MovieSentences
from metaplastic.io.errors import InputError
from refusals import refused

SPEC = MovieSentences(source="movie-sentences", vocabulary=500)


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory):
    """A cache that the package index has filled."""
    fetch = Fetch(tmp_path_factory.mktemp("cache"))
    return fetch, movie_sentences.prepare(SPEC, fetch)


def test_counts(downloaded):
    _, dataset = downloaded
    assert dataset.feature.shape == (10_568, 500)
    assert dataset.feature.dtype == np.uint8
    assert np.bincount(dataset.label).tolist() == [5_326, 5_242]
    assert (dataset.n_train, dataset.n_test) == (6_341, 4_227)
    assert dataset.class_names == ["negative", "positive"]
    assert (dataset.modality, dataset.licence, dataset.weighting) == ("text", "MIT", "binary")


def test_every_line_of_the_source_is_read(downloaded):
    fetch, _ = downloaded
    archive = fetch.cache / "movie-sentences" / movie_sentences.ARCHIVE
    sentences = movie_sentences.read_sentences(archive.read_bytes())
    signs = np.sign([rating for rating, _ in sentences])
    assert len(sentences) == 10_605
    assert [(signs == sign).sum() for sign in (1, -1, 0)] == [5_242, 5_326, 37]
    assert any("clichés" in text for _, text in sentences)


def test_words_say_something(downloaded):
    _, dataset = downloaded
    train = dataset.isel(example=dataset.split == 0)
    present = (train.feature > 0).astype(float)
    positive = {word: float(present[:, dataset.words.index(word)][train.label == 1].mean()) for word in ("best", "bad")}
    negative = {word: float(present[:, dataset.words.index(word)][train.label == 0].mean()) for word in ("best", "bad")}
    assert positive["best"] > negative["best"]
    assert positive["bad"] < negative["bad"]


def test_the_cache_holds_the_archive_alone_and_is_used(downloaded, monkeypatch):
    fetch, dataset = downloaded
    assert [path.name for path in fetch.cache.rglob("*") if path.is_file()] == [movie_sentences.ARCHIVE]
    monkeypatch.setattr("subprocess.run", None)
    assert movie_sentences.prepare(SPEC, fetch).identical(dataset)


def test_the_mirror_comes_first_and_is_verified(mirror):
    fetch = mirror("movie-sentences", **{movie_sentences.ARCHIVE: b"other"})
    with pytest.raises(InputError, match=r"mirror/movie-sentences/vaderSentiment-3\.3\.2\.tar\.gz: wrong checksum"):
        movie_sentences.prepare(SPEC, fetch)


def test_a_failing_download_is_one_line_and_leaves_nothing(fetch, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    message = refused(movie_sentences.prepare, SPEC, fetch)
    assert message.startswith("vaderSentiment-3.3.2.tar.gz: pip download failed: ERROR: ")
    assert "<mirror>/movie-sentences/vaderSentiment-3.3.2.tar.gz" in message
    assert not any(fetch.cache.rglob("*.*"))


def test_too_large_a_vocabulary_is_refused(downloaded):
    fetch, _ = downloaded
    with pytest.raises(InputError, match="vocabulary: 100000 words asked for, the training texts hold"):
        movie_sentences.prepare(SPEC.model_copy(update={"vocabulary": 100_000}), fetch)
