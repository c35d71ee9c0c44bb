"""MNIST, 60,000 + 10,000 handwritten digits of 28x28."""

import xarray as xr

from metaplastic.datasets.schema import About
from metaplastic.datasets.sources.fetch import Fetch, RemoteFile
from metaplastic.datasets.sources.idx import IdxFiles, prepare_idx
from metaplastic.datasets.spec import Mnist

ABOUT = About(
    source="mnist",
    title="MNIST",
    licence="CC-BY-SA-3.0 as usually cited",
    citation="LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document recognition",
)


def _file(name: str, sha256: str) -> RemoteFile:
    return RemoteFile(name, f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}", f"sha256:{sha256}")


FILES = IdxFiles(
    _file("train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    _file("train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    _file("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    _file("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)


def prepare(spec: Mnist, fetch: Fetch, files: IdxFiles = FILES) -> xr.Dataset:
    """MNIST in the schema, `image (70000, side, side, 1)`.

    Raises:
        InputError: see `prepare_idx`.
    """
    return prepare_idx(files, spec.side, ABOUT, [str(digit) for digit in range(10)], fetch)
