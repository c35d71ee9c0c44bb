import io
import tarfile

import pytest
from metaplastic.datasets.fetch import members_digest
from metaplastic.datasets.sources import imdb
from metaplastic.datasets.spec import Imdb
from metaplastic.io.errors import InputError

SPEC = Imdb(source="imdb", vocabulary=3)
REVIEWS = {
    "aclImdb/test/neg/0_2.txt": b"dull dull",
    "aclImdb/test/pos/0_9.txt": "a café".encode(),
    "aclImdb/train/neg/0_1.txt": b"a dull film",
    "aclImdb/train/pos/0_10.txt": b"a fine<br />film",
}


def packed(mode: str, **extra: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in reversed((REVIEWS | extra).items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def check(dataset):
    assert dataset.words == ["a", "film", "dull"]
    assert dataset.weighting == "binary"
    assert dataset.feature.dims == ("example", "word")
    assert dataset.label.values.tolist() == [0, 1, 0, 1]
    assert dataset.split.values.tolist() == [1, 1, 0, 0]
    assert dataset.feature[:, dataset.words.index("dull")].values.tolist() == [2, 0, 1, 0]


def test_the_official_archive_without_its_unlabelled_part(server, fetch):
    archive = packed("w:gz", **{"aclImdb/train/unsup/0_0.txt": b"dull", "aclImdb/README": b"dull"})
    dataset = imdb.prepare(SPEC, fetch, server.offer("aclImdb_v1.tar.gz", archive))
    check(dataset)
    assert dataset.checksum_kind == "official files"


def test_the_labelled_archive_of_a_mirror(mirror):
    fetch = mirror("imdb", **{imdb.LABELLED: packed("w:xz")})
    dataset = imdb.prepare(SPEC, fetch, imdb.ARCHIVE._replace(members=members_digest(REVIEWS.items())))
    check(dataset)
    assert dataset.checksum_kind == "members"


def test_other_reviews_are_refused(mirror):
    fetch = mirror("imdb", **{imdb.LABELLED: packed("w:xz", **{"aclImdb/train/pos/1_9.txt": b"more"})})
    with pytest.raises(InputError, match=r"aclImdb_labelled_50k\.tar\.xz: wrong checksum, expected members of sha256:"):
        imdb.prepare(SPEC, fetch, imdb.ARCHIVE._replace(members=members_digest(REVIEWS.items())))


def test_an_archive_of_a_mirror_is_unpacked_no_further_than_its_limit(mirror, monkeypatch):
    monkeypatch.setattr(imdb, "LABELLED_LIMIT", 50_000)
    bomb = {f"aclImdb/train/pos/{index}_9.txt": b"0" * 100_000 for index in range(10)}
    fetch = mirror("imdb", **{imdb.LABELLED: packed("w:xz", **bomb)})
    with pytest.raises(InputError, match=r"labelled_50k\.tar\.xz: unpacks to more than 50000 bytes; replace the file$"):
        imdb.prepare(SPEC, fetch)


def test_a_truncated_archive_is_refused(mirror):
    fetch = mirror("imdb", **{imdb.LABELLED: packed("w:xz")[:200]})
    with pytest.raises(InputError, match=r"aclImdb_labelled_50k\.tar\.xz: truncated or no tar archive"):
        imdb.prepare(SPEC, fetch)
