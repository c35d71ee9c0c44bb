"""Patches of the two photographs that come with scikit-learn; each region is a class."""

import io
from itertools import chain, product

import numpy as np
import PIL.Image
import xarray as xr
from jaxtyping import UInt8

from metaplastic.datasets.fetch import Fetch, RawFile, made_from, package_file, read_raw
from metaplastic.datasets.images import resize
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.spec import Patches
from metaplastic.datasets.splits import rounded_share
from metaplastic.io.errors import InputError

ABOUT = About(
    source="patches",
    title="Patches of two photographs, a temple and a flower",
    licence="CC-BY-2.0; packaged with scikit-learn",
    citation="photographs by danielbuechele (china.jpg) and vultilion (flower.jpg) on Flickr",
)

PHOTOGRAPHS = ("china.jpg", "flower.jpg")

ROWS, COLUMNS = 3, 4
"""Grid of regions in a photograph."""


def prepare(spec: Patches, fetch: Fetch) -> xr.Dataset:
    """Return patches in the schema, `image (24 * per_class, side, side, 3)`, `label` the region; nothing is fetched.

    Training patches are from the left part of a region and test patches from the rest, so they share no pixel.

    Raises:
        InputError: a region's part is too narrow for a patch, a split gets no patches, or `side` is too large.
    """
    rng = np.random.default_rng(spec.split_seed)
    n_test = rounded_share(spec.test_fraction, spec.per_class)
    if not 0 < n_test < spec.per_class:
        raise InputError(f"test_fraction: {spec.test_fraction} leaves one split without patches; give another")
    files = [read_raw(package_file("sklearn", "datasets", "images", name)) for name in PHOTOGRAPHS]
    patches = []
    for region in chain.from_iterable(map(regions, files)):
        border = region.shape[1] - rounded_share(spec.test_fraction, region.shape[1])
        patches.append(draw(region[:, :border], spec.per_class - n_test, spec.patch, rng))
        patches.append(draw(region[:, border:], n_test, spec.patch, rng))
    names = [f"{file.path.stem} {row}, {column}" for file, row, column in product(files, range(ROWS), range(COLUMNS))]
    pixels = resize(np.concatenate(patches), spec.side, source=spec.source)
    label, number = np.divmod(np.arange(len(pixels)), spec.per_class)
    test, origin = number >= spec.per_class - n_test, made_from("installed package's files", *files)
    return make_dataset(pixels, label, test, ABOUT, class_names=names, **origin)


def regions(file: RawFile) -> UInt8[np.ndarray, "region row column 3"]:
    """Cut the photograph in `file` into `ROWS` x `COLUMNS` equal parts, row by row, and drop what is left over."""
    with PIL.Image.open(io.BytesIO(file.content)) as image:
        photograph = np.asarray(image.convert("RGB"))
    height, width = photograph.shape[0] // ROWS, photograph.shape[1] // COLUMNS
    grid = photograph[: ROWS * height, : COLUMNS * width].reshape(ROWS, height, COLUMNS, width, 3)
    return grid.swapaxes(1, 2).reshape(-1, height, width, 3)


def draw(
    image: UInt8[np.ndarray, "row column 3"], count: int, side: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "{count} {side} {side} 3"]:
    """Draw square patches at random places of an image; refuse one that is smaller than a patch."""
    if side > (most := min(image.shape[:2])):
        raise InputError(f"patch: {side} is larger than the {most} pixels of a region's part; give less")
    places = zip(*(rng.integers(0, size - side + 1, count) for size in image.shape[:2]), strict=True)
    return np.stack([image[row : row + side, column : column + side] for row, column in places])
