"""The real files, where there is a folder of them."""

import numpy as np
import pytest
from metaplastic.datasets.sources import cifar_10, fashion_mnist, imdb, mnist, omniglot
from metaplastic.datasets.spec import Cifar10, FashionMnist, Imdb, Mnist, Omniglot

pytestmark = pytest.mark.mirror


def test_mnist(real):
    dataset = mnist.prepare(Mnist(source="mnist", side=14), real)
    assert dataset.image.shape == (70_000, 14, 14, 1)
    test = dataset.label[dataset.split == 1]
    assert np.bincount(test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert dataset.label.values[:5].tolist() == [5, 0, 4, 1, 9]
    assert dataset.checksum_kind == "official files"


def test_fashion_mnist(real):
    dataset = fashion_mnist.prepare(FashionMnist(source="fashion-mnist"), real)
    assert dataset.image.shape == (70_000, 28, 28, 1)
    assert np.bincount(dataset.label).tolist() == [7000] * 10
    assert dataset.class_names[int(dataset.label[0])] == "Ankle boot"


def test_cifar_10(real):
    dataset = cifar_10.prepare(Cifar10(source="cifar-10", side=8), real)
    assert dataset.image.shape == (60_000, 8, 8, 3)
    assert np.bincount(dataset.label[dataset.split == 1]).tolist() == [1000] * 10
    assert dataset.image.values.mean((0, 1, 2)) == pytest.approx([125.4, 123.1, 114.0], abs=0.5)


def test_omniglot(real):
    dataset = omniglot.prepare(Omniglot(source="omniglot"), real)
    assert (dataset.n_train, dataset.n_test) == (19_280, 13_180)
    assert np.bincount(dataset.label).tolist() == [20] * 1623
    assert len(dataset.class_names) == 1623
    train, test = (set(dataset.label.values[dataset.split == split]) for split in (0, 1))
    assert (len(train), len(test), train & test) == (964, 659, set())
    assert dataset.image.values.mean() < 40


def test_imdb(real):
    dataset = imdb.prepare(Imdb(source="imdb", vocabulary=300), real)
    assert dataset.feature.shape == (50_000, 300)
    assert [np.bincount(dataset.label[dataset.split == split]).tolist() for split in (0, 1)] == [[12_500] * 2] * 2
    assert dataset.words[:3] == ["the", "and", "a"]
