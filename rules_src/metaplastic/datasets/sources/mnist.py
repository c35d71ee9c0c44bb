"""MNIST, 60,000 + 10,000 handwritten digits of 28x28, and the idx format that it shares with Fashion-MNIST."""

import gzip
from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import UInt8

from metaplastic.datasets.fetch import Fetch, RemoteFile, made_from
from metaplastic.datasets.images import resize
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.spec import FashionMnist, Mnist

ABOUT = About(
    source="mnist",
    title="MNIST",
    licence="CC-BY-SA-3.0 as usually cited",
    citation="LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document recognition",
)

Files = Sequence[RemoteFile]
"""Images and labels for training, then those for testing."""


def idx_files(host: str, *checksums: str) -> Files:
    """Return the four files at `host`, which have MNIST's names and these SHA-256s."""
    kinds = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    pairs = zip([f"{kind}-ubyte.gz" for kind in kinds], checksums, strict=True)
    return [RemoteFile(name, f"{host}/{name}", f"sha256:{checksum}") for name, checksum in pairs]


FILES = idx_files(
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)


def prepare(spec: Mnist, fetch: Fetch, files: Files = FILES) -> xr.Dataset:
    """Return MNIST in the schema, `image (70000, side, side, 1)`; errors are those of `prepare_idx`."""
    return prepare_idx(files, spec, ABOUT, list("0123456789"), fetch)


def prepare_idx(
    files: Files, spec: Mnist | FashionMnist, about: About, class_names: list[str], fetch: Fetch
) -> xr.Dataset:
    """Fetch, decode and resize an MNIST-like dataset; its split is the official one.

    Raises:
        InputError: a file cannot be fetched or has the wrong checksum, or the side is too large.
    """
    raw = [fetch(about.source, file) for file in files]
    contents = zip(raw, (3, 1, 3, 1), strict=True)
    arrays = [parse_idx(gzip.decompress(file.content), dimensions) for file, dimensions in contents]
    how = {"source": about.source, "resizing": spec.resizing}
    pixels = np.concatenate([resize(images[..., None], spec.side, **how) for images in arrays[::2]])
    label, test = np.concatenate(arrays[1::2]), np.arange(len(pixels)) >= len(arrays[0])
    return make_dataset(pixels, label, test, about, class_names=class_names, **made_from("official files", *raw))


def parse_idx(content: bytes, dimensions: int) -> UInt8[np.ndarray, "..."]:
    """Decode an idx file of uint8 values: two zeros, type, number of dimensions, big-endian sizes, values."""
    start = 4 + 4 * dimensions
    return np.frombuffer(content, np.uint8, offset=start).reshape(np.frombuffer(content[4:start], ">u4").astype(int))
