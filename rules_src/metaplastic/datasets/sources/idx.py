"""The idx format of MNIST and the datasets made in its image."""

import gzip
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import UInt8

from metaplastic.datasets.images import resize
from metaplastic.datasets.schema import About, image_dataset
from metaplastic.datasets.sources.archives import read_compressed
from metaplastic.datasets.sources.fetch import Fetch, RemoteFile, checksum_line
from metaplastic.io.errors import InputError

UINT8 = 0x08


class IdxFiles(NamedTuple):
    """The four files of an MNIST-like dataset."""

    train_images: RemoteFile
    train_labels: RemoteFile
    test_images: RemoteFile
    test_labels: RemoteFile


def parse_idx(content: bytes, dimensions: int, place: object) -> UInt8[np.ndarray, "..."]:
    """Decode a uint8 idx file: two zeros, the type, the number of dimensions, big-endian sizes, then the values.

    Raises:
        InputError: it is another kind of file, or it is shorter or longer than its sizes say.
    """
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes((0, 0, UINT8, dimensions)):
        raise InputError(f"{place}: no idx file of {dimensions}-dimensional uint8 data; replace the file")
    shape = [int(size) for size in np.frombuffer(content[4:start], ">u4")]
    expected = int(np.prod(shape, dtype=object))
    if len(content) - start != expected:
        raise InputError(f"{place}: {expected} values announced, {len(content) - start} found; replace the file")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def prepare_idx(files: IdxFiles, side: int, about: About, class_names: list[str], fetch: Fetch) -> xr.Dataset:
    """Fetch, decode and resize an MNIST-like dataset; its split is the official one.

    Raises:
        InputError: a file cannot be had or is broken, images and labels differ in number, or `side` is too large.
    """
    paths = [fetch(about.source, file) for file in files]
    arrays = [
        parse_idx(read_compressed(path, gzip.GzipFile), dimensions, path)
        for path, dimensions in zip(paths, (3, 1, 3, 1), strict=True)
    ]
    for path, images, labels in zip(paths[::2], arrays[::2], arrays[1::2], strict=True):
        if len(images) != len(labels):
            raise InputError(f"{path}: {len(images)} images, but {len(labels)} labels; replace the files")
    train, train_labels, test, test_labels = arrays
    return image_dataset(
        np.concatenate([resize(images[..., None], side, source=about.source) for images in (train, test)]),
        np.concatenate([train_labels, test_labels]),
        np.arange(len(train) + len(test)) >= len(train),
        about,
        class_names=class_names,
        checksum=[checksum_line(file.name, path) for file, path in zip(files, paths, strict=True)],
        checksum_kind="official files",
    )
