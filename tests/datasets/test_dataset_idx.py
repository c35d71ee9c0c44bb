import gzip

import numpy as np
import pytest
from metaplastic.datasets.fetch import RemoteFile
from metaplastic.datasets.sources import fashion_mnist, mnist
from metaplastic.datasets.spec import FashionMnist, Mnist
from metaplastic.io.errors import InputError


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


RNG = np.random.default_rng(0)
ARRAYS = {
    "train-images": RNG.integers(0, 256, (6, 28, 28), dtype=np.uint8),
    "train-labels": np.array([0, 1, 2, 3, 4, 5], np.uint8),
    "test-images": RNG.integers(0, 256, (3, 28, 28), dtype=np.uint8),
    "test-labels": np.array([7, 8, 9], np.uint8),
}


def offer(server) -> list[RemoteFile]:
    return [server.offer(name, gzip.compress(idx(array))) for name, array in ARRAYS.items()]


@pytest.mark.parametrize(
    ("module", "spec"),
    [(mnist, Mnist(source="mnist", side=14)), (fashion_mnist, FashionMnist(source="fashion-mnist", side=14))],
)
def test_the_schema(server, fetch, module, spec):
    dataset = module.prepare(spec, fetch, offer(server))
    assert dataset.image.dims == ("example", "row", "column", "channel")
    assert dataset.image.shape == (9, 14, 14, 1)
    assert (dataset.image.dtype, dataset.label.dtype, dataset.split.dtype) == (np.uint8, np.int32, np.uint8)
    assert dataset.label.values.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert dataset.split.values.tolist() == [0] * 6 + [1] * 3
    assert dataset.split.attrs == {"flag_values": [0, 1, 2], "flag_meanings": "train test validation"}
    assert (dataset.n_train, dataset.n_test, dataset.modality, dataset.source) == (6, 3, "image", spec.source)
    assert dataset.checksum_kind == "official files"
    assert [line.split()[1] for line in dataset.checksum] == list(ARRAYS)
    assert len(dataset.class_names) == 10
    assert {"title", "licence", "citation", "name"} <= dataset.attrs.keys()
    block = ARRAYS["test-images"][0, :2, :2].mean()
    assert dataset.image.values[6, 0, 0, 0] == np.floor(block + 0.5)


def test_a_truncated_file_is_refused_before_it_is_unpacked(server, mirror, monkeypatch):
    monkeypatch.setattr(gzip, "decompress", lambda _: pytest.fail("unpacked"))
    files = offer(server)
    fetch = mirror("mnist", **{"train-images": server.files["train-images"][:500]})
    with pytest.raises(InputError, match=f"train-images: wrong checksum, expected {files[0].checksum}, got "):
        mnist.prepare(Mnist(source="mnist"), fetch, files)
