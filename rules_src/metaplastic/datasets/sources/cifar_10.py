"""CIFAR-10, python version: 50,000 + 10,000 colour pictures of 32x32."""

import io
import lzma
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import UInt8

from metaplastic.datasets.archives import read_tar
from metaplastic.datasets.fetch import Fetch, RawFile, RemoteFile, made_from, verify
from metaplastic.datasets.images import resize
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.spec import Cifar10
from metaplastic.io.errors import InputError

ABOUT = About(
    source="cifar-10",
    title="CIFAR-10",
    licence="none stated",
    citation="Krizhevsky (2009), Learning multiple layers of features from tiny images",
)

ARCHIVE = RemoteFile(
    "cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)

MEMBERS = {
    "data_batch_1": "sha256:54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
    "data_batch_2": "sha256:766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
    "data_batch_3": "sha256:0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
    "data_batch_4": "sha256:3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
    "data_batch_5": "sha256:d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
    "test_batch": "sha256:f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
}
"""Checksums of the batches in the archive; the last one is the test part."""

BATCH_LIMIT = 1 << 25
"""Most bytes that are read of a batch; it has 31 million."""

CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def prepare(
    spec: Cifar10, fetch: Fetch, archive: RemoteFile = ARCHIVE, members: Mapping[str, str] = MEMBERS
) -> xr.Dataset:
    """Return CIFAR-10 in the schema, `image (60000, side, side, 3)`.

    A mirror may hold the official archive, or the batches `data_batch_1` .. `test_batch`, as they are or as `.xz`.

    Raises:
        InputError: a file cannot be fetched, has the wrong checksum or is not a CIFAR-10 batch, or `side` is too large.
    """
    batches, origin = _batches(fetch, archive, members)
    images, labels = zip(*(decode_batch(batches[name], name) for name in members), strict=True)
    label = np.concatenate(labels)
    test = np.arange(len(label)) >= len(label) - len(labels[-1])
    how = {"source": spec.source, "resizing": spec.resizing}
    pixels = np.concatenate([resize(batch, spec.side, **how) for batch in images])
    return make_dataset(pixels, label, test, ABOUT, class_names=CLASS_NAMES, **origin)


def decode_batch(
    pickled: bytes, name: str
) -> tuple[UInt8[np.ndarray, "example 32 32 3"], UInt8[np.ndarray, " example"]]:
    """Unpickle images and labels of a batch; refuse other objects than numpy arrays, and what is not a batch."""
    try:
        batch = _ArraysOnly(io.BytesIO(pickled), encoding="bytes").load()
        images = batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels = np.array(batch[b"labels"], np.uint8)
    except InputError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise InputError(f"cifar-10: {name}: no CIFAR-10 batch ({error}); replace the file") from error
    return images, labels


ARRAYS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise InputError(f"cifar-10: a batch holds {module}.{name}, refused; replace the file")
        return ARRAYS[module, name]


def _batches(fetch: Fetch, archive: RemoteFile, members: Mapping[str, str]) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return batches by name, and the attributes of their checksums."""
    source = ABOUT.source
    if fetch.mirrored(source, archive.name) is None:
        found = {name: fetch.mirrored(source, name) or fetch.mirrored(source, f"{name}.xz") for name in members}
        files = [RawFile(Path(name), _read_batch(path, members[name])) for name, path in found.items() if path]
        if len(files) == len(members):
            return {file.path.name: file.content for file in files}, made_from("members", *files)
    raw = fetch(source, archive)
    names = {f"cifar-10-batches-py/{name}": name for name in members}
    batches = {names[path]: content for path, content in read_tar(raw.content, names.__contains__).items()}
    return batches, made_from("official files", raw)


def _read_batch(path: Path, checksum: str) -> bytes:
    try:
        with lzma.open(path) if path.suffix else path.open("rb") as file:
            batch = file.read(BATCH_LIMIT)
    except (lzma.LZMAError, EOFError) as error:
        raise InputError(f"{path}: truncated or not compressed as its name says ({error}); replace the file") from error
    verify(batch, checksum, path)
    return batch
