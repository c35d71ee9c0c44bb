"""scikit-learn's handwritten digits: 1,797 of 8x8."""

import numpy as np
import xarray as xr
from sklearn.datasets import load_digits

from metaplastic.datasets.fetch import Fetch, made_from, package_file, read_raw
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.spec import Digits
from metaplastic.datasets.splits import stratified_test_mask

ABOUT = About(
    source="digits",
    title="Optical recognition of handwritten digits, test part",
    licence="CC-BY-4.0 (UCI); packaged with scikit-learn, BSD-3-Clause",
    citation="Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI, doi:10.24432/C50P49",
)

WHITE = 16
"""Greatest value in the source: the number of pixels of a 4x4 block that are set."""


def prepare(spec: Digits, fetch: Fetch) -> xr.Dataset:
    """Return the digits in the schema, `image (1797, 8, 8, 1)` scaled from 0..16 to 0..255; fetch nothing.

    Errors are those of `stratified_test_mask`.
    """
    digits = load_digits()
    pixels = np.rint(digits.images[..., None] * (255 / WHITE)).astype(np.uint8)
    test = stratified_test_mask(digits.target, spec.test_fraction, spec.split_seed)
    path = package_file("sklearn", "datasets", "data", "digits.csv.gz")
    origin = made_from("installed package's file", read_raw(path))
    return make_dataset(pixels, digits.target, test, ABOUT, class_names=list("0123456789"), **origin)
