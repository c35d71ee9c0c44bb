"""Fashion-MNIST, 60,000 + 10,000 pictures of clothes of 28x28."""

import xarray as xr

from metaplastic.datasets.fetch import Fetch
from metaplastic.datasets.schema import About
from metaplastic.datasets.sources.mnist import Files, idx_files, prepare_idx
from metaplastic.datasets.spec import FashionMnist

ABOUT = About(
    source="fashion-mnist",
    title="Fashion-MNIST",
    licence="MIT",
    citation="Xiao, Rasul and Vollgraf (2017), Fashion-MNIST: a novel image dataset, arXiv:1708.07747",
)

CLASS_NAMES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip

FILES = idx_files(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)


def prepare(spec: FashionMnist, fetch: Fetch, files: Files = FILES) -> xr.Dataset:
    """Return Fashion-MNIST in the schema, `image (70000, side, side, 1)`; errors are those of `prepare_idx`."""
    return prepare_idx(files, spec, ABOUT, CLASS_NAMES, fetch)
