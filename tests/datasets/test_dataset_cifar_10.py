import hashlib
import io
import lzma
import os
import pickle
import tarfile
import tracemalloc

import numpy as np
import pytest
from metaplastic.datasets.sources import cifar_10
from metaplastic.datasets.spec import Cifar10
from metaplastic.io.errors import InputError
from refusals import refused

SPEC = Cifar10(source="cifar-10", side=16)


def pickled(data: object, labels: list[int]) -> bytes:
    """As with the numpy of CIFAR-10's day."""
    batch = pickle.dumps({b"data": data, b"labels": labels}, protocol=3)
    return batch.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


RNG = np.random.default_rng(0)
DATA = {name: RNG.integers(0, 256, (2, 3072), dtype=np.uint8) for name in cifar_10.MEMBERS}
BATCHES = {name: pickled(data, [index, 9]) for index, (name, data) in enumerate(DATA.items())}
MEMBERS = {name: f"sha256:{hashlib.sha256(batch).hexdigest()}" for name, batch in BATCHES.items()}


def check(dataset):
    assert dataset.image.shape == (12, 16, 16, 3)
    assert dataset.label.values.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert dataset.split.values.tolist() == [0] * 10 + [1] * 2
    green = DATA["test_batch"][1, 1024:2048].reshape(32, 32)
    assert dataset.image.values[11, 15, 0, 1] == np.floor(green[30:, :2].mean() + 0.5)


@pytest.fixture
def archive():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, batch in BATCHES.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(batch)
            tar.addfile(info, io.BytesIO(batch))
    return buffer.getvalue()


def test_the_official_archive(server, fetch, archive):
    official = server.offer("cifar-10-python.tar.gz", archive)
    dataset = cifar_10.prepare(SPEC, fetch, official, MEMBERS)
    check(dataset)
    assert dataset.checksum_kind == "official files"
    assert dataset.checksum == [f"{official.checksum.removeprefix('sha256:')}  cifar-10-python.tar.gz"]


def test_the_batches_of_a_mirror_plain_or_compressed(mirror):
    plain = {name: batch for name, batch in BATCHES.items() if name < "data_batch_4"}
    packed = {f"{name}.xz": lzma.compress(batch) for name, batch in BATCHES.items() if name not in plain}
    dataset = cifar_10.prepare(SPEC, mirror("cifar-10", **plain, **packed), members=MEMBERS)
    check(dataset)
    assert dataset.checksum_kind == "members"
    assert dataset.checksum == [f"{MEMBERS[name].removeprefix('sha256:')}  {name}" for name in BATCHES]


def test_a_changed_batch_is_refused_before_it_is_unpickled(mirror, monkeypatch):
    monkeypatch.setattr(cifar_10, "decode_batch", None)
    fetch = mirror("cifar-10", **{**BATCHES, "data_batch_3": BATCHES["data_batch_2"]})
    with pytest.raises(InputError, match=r"mirror/cifar-10/data_batch_3: wrong checksum, expected sha256:"):
        cifar_10.prepare(SPEC, fetch, members=MEMBERS)


@pytest.mark.parametrize("cut", [True, False])
def test_a_compressed_batch_that_is_broken_or_a_bomb_is_refused(mirror, monkeypatch, cut):
    monkeypatch.setattr(cifar_10, "decode_batch", None)
    monkeypatch.setattr(cifar_10, "BATCH_LIMIT", 100_000)
    packed = lzma.compress(BATCHES["data_batch_1"] if cut else bytes(60_000_000))
    fetch = mirror("cifar-10", **{"data_batch_1.xz": packed[: len(packed) // 2] if cut else packed})
    message = (
        "truncated or not compressed as its name says" if cut else f"wrong checksum, expected {MEMBERS['data_batch_1']}"
    )
    tracemalloc.start()
    try:
        assert f"mirror/cifar-10/data_batch_1.xz: {message}" in refused(cifar_10.prepare, SPEC, fetch, members=MEMBERS)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


class Exploit:
    def __reduce__(self):
        return os.mkdir, ("exploited",)


@pytest.mark.parametrize("payload", [Exploit(), np.array([Exploit()], object), np.float64(1)])
def test_only_arrays_are_unpickled(payload, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^cifar-10: a batch holds .*, refused; replace the file$"):
        cifar_10.decode_batch(pickled(payload, [0]), "data_batch_1")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [b"", b"garbage", BATCHES["test_batch"][:1000], pickle.dumps({b"data": 1}), pickle.dumps(1)]
)
def test_what_is_no_batch_is_refused(content):
    assert refused(cifar_10.decode_batch, content, "test_batch").startswith("cifar-10: test_batch: no CIFAR-10 batch")
