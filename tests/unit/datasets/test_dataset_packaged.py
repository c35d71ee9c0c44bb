import numpy as np
import pytest
from sklearn.datasets import load_digits

from rules_src.config.datasets import Digits, Mnist5k
from rules_src.datasets import digits, mnist_5k
from rules_src.errors import InputError


def test_digits(fetch):
    dataset = digits.prepare(Digits(source="digits"), fetch)
    assert dataset.image.shape == (1797, 8, 8, 1)
    assert np.bincount(dataset.label).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (dataset.n_train, dataset.n_test) == (1078, 719)
    shares = np.bincount(dataset.label[dataset.split == 1]) / np.bincount(dataset.label)
    np.testing.assert_allclose(shares, 0.4, atol=0.005)
    raw = load_digits().images
    assert dataset.image.values[raw == 16].min() == 255
    assert np.isin(dataset.image.values[raw == 8], (127, 128)).all()
    assert not dataset.image.values[raw == 0].any()
    assert not fetch.cache.exists()


@pytest.mark.parametrize("side", [28, 7])
def test_mnist_5k(fetch, side):
    dataset = mnist_5k.prepare(Mnist5k(source="mnist-5k", side=side, test_fraction=0.2), fetch)
    assert dataset.image.shape == (5000, side, side, 1)
    assert np.bincount(dataset.label).tolist() == [500] * 10
    assert np.bincount(dataset.label[dataset.split == 1]).tolist() == [100] * 10
    assert dataset.image.values.mean() == pytest.approx(33.4, abs=0.2)
    assert dataset.checksum_kind == "installed package's file"


@pytest.mark.parametrize(
    ("module", "spec"), [(digits, Digits(source="digits")), (mnist_5k, Mnist5k(source="mnist-5k", side=8))]
)
def test_the_same_spec_gives_the_same_dataset(fetch, module, spec):
    first, again = (module.prepare(spec, fetch) for _ in range(2))
    assert first.identical(again)
    other = module.prepare(spec.model_copy(update={"split_seed": 1}), fetch)
    assert (other.split != first.split).any()
    assert (other.image == first.image).all()


def test_too_large_a_side_is_refused(fetch):
    with pytest.raises(InputError, match=r"^side: 29 is larger than the 28 of mnist-5k"):
        mnist_5k.prepare(Mnist5k.model_construct(source="mnist-5k", side=29, test_fraction=0.4, split_seed=0), fetch)
