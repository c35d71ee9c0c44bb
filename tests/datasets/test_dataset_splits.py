import numpy as np
import pytest
from metaplastic.datasets.splits import stratified_test_mask
from metaplastic.io.errors import InputError

LABELS = np.repeat([0, 1, 2], [10, 20, 35])


def test_each_class_gives_its_share():
    test = stratified_test_mask(LABELS, 0.3, 0)
    assert np.bincount(LABELS[test]).tolist() == [3, 6, 11]


def test_seed_decides():
    first, again, other = (stratified_test_mask(LABELS, 0.4, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_class_without_test_examples_is_refused():
    with pytest.raises(InputError, match=r"^test_fraction: 0.01 leaves class 0 no test example; give more$"):
        stratified_test_mask(LABELS, 0.01, 0)


def test_a_class_without_training_examples_is_refused():
    with pytest.raises(InputError, match=r"^test_fraction: 0.97 leaves class 0 no training example; give less$"):
        stratified_test_mask(LABELS, 0.97, 0)
