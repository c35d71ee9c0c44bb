import numpy as np
import pytest
from metaplastic.datasets.images import overlaps, resize
from metaplastic.io.errors import InputError


def area_means(images, side):
    """By the overlaps that `resize` uses, before it rounds."""
    rows, columns = (overlaps(size, side) for size in images.shape[1:3])
    return np.einsum("ir,brcx,jc->bijx", rows, images.astype(float), columns) / np.prod(images.shape[1:3])


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 28, 28, 3), dtype=np.uint8)


@pytest.mark.parametrize("side", [1, 7, 8, 13, 14, 27, 28])
def test_each_image_and_channel_keeps_its_mean(images, side):
    means = area_means(images, side)
    assert means.shape == (5, side, side, 3)
    np.testing.assert_array_equal(resize(images, side, source="x"), np.floor(means + 0.5))
    np.testing.assert_allclose(means.mean((1, 2)), images.mean((1, 2)), rtol=1e-13)


@pytest.mark.parametrize("side", [7, 14])
def test_integer_factors_are_block_means(images, side):
    factor = 28 // side
    blocks = images.reshape(5, side, factor, side, factor, 3).mean((2, 4))
    np.testing.assert_array_equal(area_means(images, side), blocks)
    np.testing.assert_array_equal(resize(images, side, source="x"), np.floor(blocks + 0.5))


def test_striding_takes_the_first_pixel_of_each_cell(images):
    np.testing.assert_array_equal(resize(images, 14, source="x", resizing="striding"), images[:, ::2, ::2])
    taken = resize(images, 13, source="x", resizing="striding")
    np.testing.assert_array_equal(taken[0, :3, -1], images[0, [0, 2, 4], 25])


def test_fractional_factor_splits_pixels_by_area():
    line = np.array([10, 20, 40], np.uint8)
    images = np.repeat(line[None, :, None], 3, 0)[None].reshape(1, 3, 3, 1)
    np.testing.assert_allclose(area_means(images, 2)[0, 0, :, 0], [(10 + 20 / 2) / 1.5, (20 / 2 + 40) / 1.5])


@pytest.mark.parametrize(("source", "target"), [(28, 8), (105, 28), (3, 2), (5, 5)])
def test_overlaps_use_every_pixel_equally(source, target):
    weights = overlaps(source, target)
    assert (weights.sum(1) == source).all()
    assert (weights.sum(0) == target).all()


def test_batches_do_not_show():
    images = np.random.default_rng(1).integers(0, 256, (1030, 6, 6, 1), dtype=np.uint8)
    whole = resize(images, 4, source="x")
    np.testing.assert_array_equal(whole[1020:], resize(images[1020:], 4, source="x"))


def test_extremes_stay_and_own_size_is_left_alone(images):
    assert (resize(np.full((1, 28, 28, 1), 255, np.uint8), 11, source="x") == 255).all()
    assert resize(images, 28, source="x") is images


def test_enlarging_is_refused(images):
    with pytest.raises(InputError, match=r"^side: 29 is larger than the 28 of mnist; give at most 28$"):
        resize(images, 29, source="mnist")


def test_the_shorter_side_limits(images):
    with pytest.raises(InputError, match=r"^side: 8 is larger than the 6 of mine; give at most 6$"):
        resize(images[:, :20, :6], 8, source="mine")
