import numpy as np
import pytest
from sklearn.cluster import KMeans

from rules_src.baselines import k_means, pca, raw


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 6)) * [3, 2, 1, 1, 0.5, 0] + 2
    return values.astype(np.float32), np.arange(120) < 80


def test_raw_is_the_input(inputs):
    np.testing.assert_array_equal(raw.embed(*inputs, features=3, seeds=5), inputs[0][None])


def test_pca_is_the_singular_value_decomposition_of_training_examples(inputs):
    values, train = inputs
    projections = pca.embed(*inputs, features=3, seeds=5)
    mean = values[train].mean(0)
    _, _, directions = np.linalg.svd(values[train] - mean, full_matrices=False)
    expected = (values - mean) @ directions[:3].T
    assert projections.shape == (1, 120, 3)
    np.testing.assert_allclose(np.abs(projections[0]), np.abs(expected), atol=1e-3)
    assert pca.embed(*inputs, features=50, seeds=5).shape == (1, 120, 6)


def test_k_means_features_are_triangles_of_distances(inputs):
    values, train = inputs
    features = k_means.embed(*inputs, features=4, seeds=2)
    centroids = KMeans(4, random_state=1, n_init=1).fit(values[train]).cluster_centers_
    distance = np.sqrt(((values[:, None] - centroids) ** 2).sum(2))
    expected = np.maximum(0, distance.mean(1, keepdims=True) - distance)
    assert features.shape == (2, 120, 4)
    np.testing.assert_allclose(features[1], expected, atol=1e-4)
    assert not np.array_equal(features[0], features[1])


@pytest.mark.parametrize("method", [pca, k_means])
def test_test_examples_do_not_change_what_is_fitted(inputs, method):
    values, train = inputs
    changed = np.where(train[:, None], values, 9).astype(np.float32)
    before, after = (method.embed(x, train, features=3, seeds=1)[0, train] for x in (values, changed))
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_fewer_distinct_examples_than_centroids_give_fewer_features():
    values = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    assert k_means.embed(values, np.ones(12, bool), features=8, seeds=1).shape == (1, 12, 3)
