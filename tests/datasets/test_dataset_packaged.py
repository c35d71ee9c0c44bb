import numpy as np
import pytest
from metaplastic.datasets.sources import digits, mnist_5k, packaged_table, two_moons
from metaplastic.datasets.spec import Digits, Mnist5k, PackagedTable, TwoMoons
from metaplastic.io.errors import InputError
from sklearn.datasets import load_digits, load_wine


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


@pytest.mark.parametrize(
    ("name", "members", "columns"),
    [("iris", [50, 50, 50], 4), ("wine", [59, 71, 48], 13), ("breast-cancer", [212, 357], 30)],
)
def test_packaged_tables(fetch, name, members, columns):
    spec = PackagedTable(source="packaged-table", table=name)
    dataset = packaged_table.prepare(spec, fetch)
    assert (dataset.modality, dataset.feature.shape) == ("table", (sum(members), columns))
    assert np.bincount(dataset.label).tolist() == members
    assert (len(dataset.class_names), len(dataset.attrs["columns"])) == (len(members), columns)
    train = dataset.feature[dataset.split.values == 0]
    np.testing.assert_allclose([train.mean("example"), train.var("example")], [[0] * columns, [1] * columns], atol=1e-5)
    assert dataset.identical(packaged_table.prepare(spec, fetch))
    assert not fetch.cache.exists()


def test_columns_of_a_packaged_table_are_scaled_by_the_training_split_alone(fetch):
    dataset = packaged_table.prepare(PackagedTable(source="packaged-table", table="wine", test_fraction=0.9), fetch)
    raw, train = load_wine().data, dataset.split.values == 0
    np.testing.assert_array_equal(dataset.label, load_wine().target)
    np.testing.assert_allclose(dataset.feature, (raw - raw[train].mean(0)) / raw[train].std(0), rtol=1e-4, atol=1e-5)
    assert np.abs(dataset.feature.values[~train].mean(0)).max() > 0.05


def test_two_moons(fetch):
    spec = TwoMoons(source="two-moons", per_class=50, noise=0.0, test_fraction=0.2)
    dataset = two_moons.prepare(spec, fetch)
    assert (dataset.modality, dataset.feature.shape, dataset.n_train, dataset.n_test) == ("table", (100, 2), 80, 20)
    np.testing.assert_allclose(
        [dataset.feature.mean("example"), dataset.feature.var("example")], [[0, 0], [1, 1]], atol=1e-5
    )
    # Without noise each class lies on a half circle, so that its points at the ends are its lowest or highest.
    upper, lower = (dataset.feature.values[dataset.label.values == label] for label in (0, 1))
    for half, sign in ((upper, 1), (lower, -1)):
        middle = np.abs(half[:, 0] - half[:, 0].mean()) < 0.3
        assert (sign * half[middle, 1]).min() > (sign * half[[half[:, 0].argmin(), half[:, 0].argmax()], 1]).max()
    assert dataset.identical(two_moons.prepare(spec, fetch))
    other = two_moons.prepare(spec.model_copy(update={"noise": 0.2, "draw_seed": 1}), fetch)
    assert not np.allclose(other.feature, dataset.feature)
