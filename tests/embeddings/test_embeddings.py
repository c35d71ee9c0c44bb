import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import Inputs
from metaplastic.embeddings import blurred, denoising_autoencoder, isomap, k_means, pca, raw, umap, vae, zca
from metaplastic.embeddings.base import Unlabelled, unlabelled
from metaplastic.embeddings.neural import NeuralTraining
from metaplastic.embeddings.spec import Embedding, Vae
from metaplastic.io.errors import InputError
from metaplastic.training.loop import Folder
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

NEURAL = {"features": 2, "hidden": [8], "steps": [0, 60, 240], "every": 60, "batch": 16, "learning_rate": 0.01}
SPECS = {
    "raw": (raw, {}),
    "blurred": (blurred, {}),
    "zca": (zca, {}),
    "pca": (pca, {"features": 3}),
    "k-means": (k_means, {"features": 4}),
    "isomap": (isomap, {"features": 2, "neighbours": 6}),
    "umap": (umap, {"features": 2, "neighbours": 6}),
    "vae": (vae, NEURAL),
    "denoising-autoencoder": (denoising_autoencoder, NEURAL),
}

# It compiles for most of a minute.
UMAP = pytest.param("umap", marks=pytest.mark.slow)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 6)) * [3, 2, 1, 1, 0.5, 0] + 2
    return Unlabelled(values.astype(np.float32), np.arange(120) < 80, None)


def embed(kind: str, data: Unlabelled, folder: Path, *, seeds: int = 1, **changes):
    module, keys = SPECS[kind]
    spec = parse_spec(Embedding, json.dumps({"kind": kind, **keys, **changes}))
    return module.embed(data, spec, seeds=range(seeds), folder=Folder(folder, {"config": "x"}))


def test_labels_are_no_part_of_what_an_embedding_sees():
    inputs, split = np.ones((4, 3), np.float32), np.array([0, 1, 2, 0], np.uint8)
    seen = unlabelled(Inputs(inputs, np.arange(4, dtype=np.int32), split, (1, 3, 1)))
    assert seen._fields == ("inputs", "train", "image")
    # Validation examples are neither learned from nor tested on.
    assert seen.train.tolist() == [True, False, False, True]
    assert seen.image == (1, 3, 1)


def test_raw_is_the_input(data, tmp_path):
    np.testing.assert_array_equal(embed("raw", data, tmp_path, seeds=5).features, data.inputs[None, None])


def test_blurring_spreads_a_pixel_as_a_gaussian_over_its_own_image_and_channel(tmp_path):
    images = np.zeros((2, 9, 9, 2), np.float32)
    images[0, 4, 4, 1] = 1
    data = Unlabelled(images.reshape(2, -1), np.ones(2, bool), (9, 9, 2))
    found = embed("blurred", data, tmp_path, deviation=0.8).features.reshape(images.shape)
    assert found[1].max() == found[..., 0].max() == 0
    np.testing.assert_allclose(found[0, ..., 1].sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(found[0, 4, 5, 1] / found[0, 4, 4, 1], np.exp(-0.5 / 0.8**2), rtol=1e-3)
    np.testing.assert_allclose(found[0, 5, 5, 1] / found[0, 4, 4, 1], np.exp(-1 / 0.8**2), rtol=1e-3)


def test_zca_leaves_no_correlation_and_what_is_nearest_to_the_normalised_input(data, tmp_path):
    whitened = embed("zca", data, tmp_path, seeds=5).features
    assert whitened.shape == (1, 1, 120, 6)
    x = 255 * data.inputs
    x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 10)
    # The mean over an example is gone, and with it one direction.
    covariance = np.cov(whitened[0, 0, data.train].T, bias=True)
    variances = np.linalg.eigvalsh(covariance)
    np.testing.assert_allclose(variances[1:], 1, atol=1e-2)
    np.testing.assert_allclose(variances[0], 0, atol=1e-2)
    # Of all such maps it is the symmetric one.
    linear = np.linalg.lstsq(x[data.train] - x[data.train].mean(0), whitened[0, 0, data.train], rcond=None)[0]
    np.testing.assert_allclose(linear, linear.T, atol=1e-2)
    # Nothing is left of a single column.
    assert not embed("zca", data._replace(inputs=data.inputs[:, :1]), tmp_path).features.any()


def test_pca_is_the_singular_value_decomposition_of_training_examples(data, tmp_path):
    projections = embed("pca", data, tmp_path, seeds=5).features
    mean = data.inputs[data.train].mean(0)
    _, _, directions = np.linalg.svd(data.inputs[data.train] - mean, full_matrices=False)
    expected = (data.inputs - mean) @ directions[:3].T
    assert projections.shape == (1, 1, 120, 3)
    np.testing.assert_allclose(np.abs(projections[0, 0]), np.abs(expected), atol=1e-3)
    assert embed("pca", data, tmp_path, features=50).features.shape == (1, 1, 120, 6)


def test_k_means_features_are_triangles_of_distances(data, tmp_path):
    features = embed("k-means", data, tmp_path, seeds=2).features
    centroids = KMeans(4, random_state=1, n_init=1).fit(data.inputs[data.train]).cluster_centers_
    distance = np.sqrt(((data.inputs[:, None] - centroids) ** 2).sum(2))
    expected = np.maximum(0, distance.mean(1, keepdims=True) - distance)
    assert features.shape == (2, 1, 120, 4)
    np.testing.assert_allclose(features[1, 0], expected, atol=1e-4)
    assert not np.array_equal(features[0], features[1])


@pytest.mark.parametrize("kind", ["pca", "k-means", "isomap", "vae"])
def test_test_examples_do_not_change_what_is_fitted(data, kind, tmp_path):
    changed = data._replace(inputs=np.where(data.train[:, None], data.inputs, 9).astype(np.float32))
    before, after = (
        embed(kind, x, tmp_path / str(i)).features[0, -1, data.train] for i, x in enumerate((data, changed))
    )
    np.testing.assert_allclose(before, after, atol=1e-4)


def test_fewer_distinct_examples_than_centroids_give_fewer_features(tmp_path):
    few = Unlabelled(np.repeat(np.eye(3, dtype=np.float32), 4, axis=0), np.ones(12, bool), None)
    assert embed("k-means", few, tmp_path, features=8).features.shape == (1, 1, 12, 3)


def _swiss_roll():
    """Rows along a spiral, and how far along it each one is."""
    along = np.sort(np.random.default_rng(0).random(300))
    angle = 1.5 * np.pi * (1 + 2 * along)
    inputs = np.stack([angle * np.cos(angle), angle * np.sin(angle)], 1).astype(np.float32)
    return Unlabelled(inputs, np.arange(300) % 3 > 0, None), along


@pytest.mark.parametrize("kind", ["isomap", UMAP])
def test_manifold_methods_unroll_what_pca_cannot(kind, tmp_path):
    data, along = _swiss_roll()
    features = embed(kind, data, tmp_path, features=1 if kind == "isomap" else 2).features[0, 0]
    straight = PCA(1).fit_transform(data.inputs)
    test = ~data.train

    def neighbours_kept(values):
        distance = np.linalg.norm(values[test][:, None] - values[data.train][None], axis=2)
        return np.abs(along[test] - along[data.train][distance.argmin(1)]).mean()

    assert neighbours_kept(features) < 0.02 < neighbours_kept(straight)


def test_isomap_gives_the_same_twice_and_leaves_the_global_generator_alone(tmp_path):
    # As many examples as make the solver start from a random vector.
    rng = np.random.default_rng(0)
    many = Unlabelled(rng.normal(size=(260, 5)).astype(np.float32), np.ones(260, bool), None)
    np.random.seed(7)
    first = embed("isomap", many, tmp_path).features
    drawn = np.random.random()
    np.random.seed(7)
    np.testing.assert_array_equal(first, embed("isomap", many, tmp_path).features)
    np.random.seed(7)
    assert drawn == np.random.random()


def test_isomap_of_few_examples_has_fewer_features(tmp_path):
    few = Unlabelled(np.random.default_rng(0).normal(size=(33, 4)).astype(np.float32), np.ones(33, bool), None)
    features = embed("isomap", few, tmp_path, features=32, neighbours=5).features
    assert features.shape[3] in {4, 8, 16}
    assert np.isfinite(features).all()


@pytest.mark.slow
def test_umap_of_fewer_examples_than_features(tmp_path):
    few = Unlabelled(np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32), np.arange(20) < 12, None)
    features = embed("umap", few, tmp_path, features=32, neighbours=5).features
    assert features.shape == (1, 1, 20, 32)
    assert np.isfinite(features).all()


@pytest.mark.slow
def test_umap_places_others_among_many_examples_too(tmp_path):
    x = np.random.default_rng(0).normal(size=(4110, 2)).astype(np.float32)
    many = Unlabelled(x, np.arange(len(x)) < 4100, None)
    features = embed("umap", many, tmp_path, features=2, neighbours=2).features
    assert np.isfinite(features).all()


@pytest.mark.slow
def test_equal_seeds_of_umap_are_equal_and_others_differ(data, tmp_path):
    first, again = (embed("umap", data, tmp_path, seeds=2).features for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (2, 1, 120, 2)
    assert not np.allclose(first[0], first[1])


@pytest.mark.parametrize("kind", ["isomap", UMAP])
def test_a_cap_on_examples_draws_from_the_training_ones(kind, data, tmp_path):
    poisoned = data._replace(inputs=np.where(data.train[:, None], data.inputs, np.float32(1e4)))
    features = embed(kind, poisoned, tmp_path, examples=40).features[0, 0]
    assert features.shape == (120, 2)
    assert np.isfinite(features).all()


def test_a_graph_in_pieces_is_no_warning(tmp_path):
    rng = np.random.default_rng(0)
    pieces = np.concatenate([rng.normal(size=(30, 3)) + 100 * piece for piece in range(3)]).astype(np.float32)
    assert np.isfinite(embed("isomap", Unlabelled(pieces, np.ones(90, bool), None), tmp_path).features).all()


@pytest.mark.parametrize("kind", ["isomap", "umap"])
def test_too_few_examples_for_their_neighbours_are_refused(kind, data, tmp_path):
    few = data._replace(train=np.arange(120) < 6)
    with pytest.raises(InputError, match=r"^neighbours: 6 take more training examples than the 6 there are$"):
        embed(kind, few, tmp_path)


@pytest.mark.parametrize(("kind", "numbers"), [("isomap", 2 * (80 + 120) * 80), ("umap", (120 + 3 * 40) * 80)])
def test_distances_that_cannot_fit_are_refused_before_they_are_taken(kind, numbers, data, tmp_path, monkeypatch):
    monkeypatch.setattr("metaplastic.io.memory.device_memory", lambda: 4 * numbers - 1)
    with pytest.raises(InputError, match=r"^examples: .* for distances = .* GiB; give less$"):
        embed(kind, data, tmp_path)


def test_networks_that_cannot_fit_name_the_keys_that_they_have(data, tmp_path, monkeypatch):
    monkeypatch.setattr("metaplastic.io.memory.device_memory", lambda: 1000)
    with pytest.raises(InputError, match=r"^hidden, features, batch: 0\.0 for networks and their optimiser"):
        embed("vae", data, tmp_path)


def _clusters(scale: float = 1.0):
    """Two classes along one direction of six; the others hold noise."""
    rng = np.random.default_rng(0)
    label = np.arange(200) % 2
    inputs = rng.normal(size=(200, 6)) + 4 * label[:, None] * np.eye(6)[0]
    return Unlabelled((scale * inputs).astype(np.float32), np.arange(200) < 120, None), label


@pytest.mark.parametrize("kind", ["vae", "denoising-autoencoder"])
def test_networks_learn_what_varies_most(kind, tmp_path):
    data, label = _clusters()
    embedded = embed(kind, data, tmp_path, seeds=2)
    assert embedded.features.shape == (2, 3, 200, 2)
    assert list(embedded.steps) == [0, 60, 240]
    loss = embedded.history["loss"]
    assert loss.shape == (2, 240)
    assert (loss[:, -40:].mean(1) < 0.9 * loss[:, :10].mean(1)).all()
    for features in embedded.features[:, -1]:
        readout = LogisticRegression().fit(features[data.train], label[data.train])
        assert readout.score(features[~data.train], label[~data.train]) > 0.9
    assert not np.allclose(embedded.features[0], embedded.features[1])


def test_each_seed_starts_elsewhere_whatever_others_there_are(tmp_path):
    spec = Vae(kind="vae", hidden=[3])

    def first_weights(*seeds: int) -> np.ndarray:
        training = NeuralTraining(
            vae.family(spec, pixels=False), np.zeros((4, 6), np.float32), spec, seeds, Folder(tmp_path, {})
        )
        return np.asarray(jax.tree.leaves(training.initial().network)[0])

    both = first_weights(3, 2**32 - 1)
    np.testing.assert_array_equal(first_weights(2**32 - 1)[0], both[1])
    assert not np.allclose(both[0], both[1])


def test_the_unit_of_the_inputs_does_not_count(tmp_path):
    features = [embed("vae", _clusters(scale)[0], tmp_path / str(scale)).features for scale in (1.0, 1000.0)]
    np.testing.assert_allclose(*features, atol=1e-2)


@pytest.mark.parametrize("pixels", [True, False])
def test_the_parts_of_the_vae_s_objective_are_what_their_formulas_say(pixels):
    spec = parse_spec(Embedding, '{"kind": "vae", "features": 2, "hidden": [4], "beta": 3.0}')
    family = vae.family(spec, pixels=pixels)
    model, key = family.initial(jax.random.key(0), 5), jax.random.key(1)
    batch = jax.random.uniform(jax.random.key(2), (7, 5))
    loss, parts = family.loss(model, key, batch)
    mean, log_variance = np.split(np.asarray(model.encoder(batch), np.float64), 2, axis=1)
    code = mean + np.exp(log_variance / 2) * np.asarray(jax.random.normal(key, (7, 2)))
    decoded = np.asarray(model.decoder(jnp.asarray(code, jnp.float32)), np.float64)
    probability = 1 / (1 + np.exp(-decoded))
    likelihood = batch * np.log(probability) + (1 - batch) * np.log(1 - probability)
    misfit = -likelihood if pixels else (decoded - batch) ** 2 / 2
    reconstruction = misfit.sum(1).mean()
    # Of Gaussians of these means and variances from the standard one.
    divergence = (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1).mean() / 2
    np.testing.assert_allclose(parts["reconstruction"], reconstruction, rtol=1e-5)
    np.testing.assert_allclose(parts["divergence"], divergence, rtol=1e-5)
    np.testing.assert_allclose(loss, reconstruction + 3 * divergence, rtol=1e-5)
    np.testing.assert_allclose(family.encode(model, batch), mean, rtol=1e-5)


def test_a_loss_that_becomes_infinite_is_one_line(tmp_path):
    # Each attempt says so: none goes on from a state that is no use.
    for _ in range(3):
        with pytest.raises(InputError, match=r"^learning_rate: at 1e\+30 the loss has become infinite; give less$"):
            embed("vae", _clusters()[0], tmp_path, learning_rate=1e30)
