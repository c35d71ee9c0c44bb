import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.config.base import parse_spec
from metaplastic.embeddings import acai, bigan, contrastive, deep_cluster, infogan
from metaplastic.embeddings.base import Unlabelled
from metaplastic.embeddings.networks import ConvolutionalDecoder, ConvolutionalEncoder, convolved
from metaplastic.embeddings.neural import NeuralTraining, drawn
from metaplastic.embeddings.spec import Embedding
from metaplastic.io.errors import InputError
from metaplastic.meta_train.tasks.appearance import augmented
from metaplastic.meta_train.tasks.source import Jitter
from metaplastic.training.loop import Folder, resumed
from metaplastic.training.spec import Keep

IMAGE = (6, 6, 1)
MODULES = {"acai": acai, "bigan": bigan, "infogan": infogan, "contrastive": contrastive, "deep-cluster": deep_cluster}
TINY = {"features": 3, "filters": [4], "batch": 8, "steps": [20, 60], "every": 20, "learning_rate": 0.01}
OWN = {"deep-cluster": {"width": 8, "clusters": 6, "clustered_every": 40}, "infogan": {"categories": 2}}


def spec(kind: str, **changes):
    return parse_spec(Embedding, json.dumps({"kind": kind, **TINY, **OWN.get(kind, {}), **changes}))


def strokes(count: int = 60):
    """Bright bars, upright or lying, anywhere; and which they are."""
    rng = np.random.default_rng(0)
    images, lying = np.zeros((count, *IMAGE), np.float32), np.arange(count) % 2
    for image, flat, row, column in zip(images, lying, *rng.integers(1, 5, (2, count)), strict=True):
        image[(row,) if flat else slice(None), slice(None) if flat else (column,)] = 1
    return Unlabelled(images.reshape(count, -1), np.arange(count) < 40, IMAGE), lying


def parameters(model, part: str):
    return [np.abs(leaf).max() for leaf in jax.tree.leaves(getattr(model, part))]


@pytest.mark.parametrize(("stride", "count"), [(1, 2), (1, 19), (2, 2)])
def test_convolutions_and_their_derivatives_are_those_of_the_library(stride, count):
    shapes = [(count, 5, 4, 3), (3, 3, 3, 2)]
    x, kernel = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(shapes))

    def library(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, [stride] * 2, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def slopes(convolve):
        def cost(x, kernel):
            return jnp.sin(convolve(x, kernel)).sum() / count

        def adapted(x, kernel):
            return cost(x, kernel - 0.1 * jax.grad(cost, 1)(x, kernel))

        return jax.jit(lambda *at: (convolve(*at), jax.grad(cost, (0, 1))(*at), jax.grad(adapted, (0, 1))(*at)))

    ours = slopes(lambda *at: convolved(*at, stride=stride))(x, kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, slopes(library)(x, kernel))


@pytest.mark.parametrize(("normalised", "pooled"), [(True, False), (False, False), (False, True)])
def test_a_decoder_gives_images_back_at_their_size_and_codes_are_each_example_s_own(normalised, pooled):
    images, shape = jax.random.uniform(jax.random.key(0), (3, 42)), (7, 6, 1)
    encoder = ConvolutionalEncoder(jax.random.key(1), shape, [4, 16], 5, pooled=pooled, normalised=normalised)
    decoder = ConvolutionalDecoder(jax.random.key(2), shape, [4, 16], 5, normalised=normalised)
    there_and_back = jax.jit(lambda images: (encoder(images), decoder(encoder(images))))
    code, restored = there_and_back(images)
    assert (code.shape, restored.shape) == ((3, 5), images.shape)
    for alone, together in zip(there_and_back(images[:1]), (code, restored), strict=True):
        np.testing.assert_allclose(alone, together[:1], rtol=1e-4, atol=1e-5)


def test_a_pooled_scale_is_two_convolutions_and_means_of_squares_whose_last_odd_row_counts_twice():
    encoder = ConvolutionalEncoder(jax.random.key(0), (3, 4, 1), [2], 5, pooled=True)
    images = jax.random.normal(jax.random.key(1), (2, 12))
    x = images.reshape(2, 3, 4, 1)
    for kernel in (block.kernel for block in encoder.scales[0]):
        x = jax.lax.conv_general_dilated(x, kernel, [1, 1], "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jnp.where(x > 0, x, 0.2 * x)
    means = [
        [x[:, rows, columns].mean((1, 2)) for columns in (slice(2), slice(2, 4))] for rows in (slice(2), slice(2, 3))
    ]
    flat = jnp.concatenate([mean for row in means for mean in row], 1)
    np.testing.assert_allclose(encoder(images), flat @ encoder.last.weight.T + encoder.last.bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", MODULES)
def test_networks_of_images_train_and_embed(kind, tmp_path):
    data, _ = strokes()
    embedded = MODULES[kind].embed(data, spec(kind), seeds=[0], folder=Folder(tmp_path, {"config": "x"}))
    assert embedded.features.shape == (1, 2, 60, 3)
    assert np.isfinite(embedded.features).all()
    assert not np.allclose(embedded.features[0, 0], embedded.features[0, 1])
    loss = embedded.history["loss"][0]
    if kind in {"acai", "contrastive"}:  # of players against each other losses need not fall
        assert loss[-20:].mean() < 0.9 * loss[:5].mean()


@pytest.mark.parametrize(
    ("kind", "others"),
    [("acai", ("encoder", "decoder")), ("bigan", ("encoder", "generator")), ("infogan", ("generator",))],
)
def test_each_adversary_minimises_its_own_objective_alone(kind, others):
    family = MODULES[kind].family(spec(kind), IMAGE)
    model, batch = family.initial(jax.random.key(0), 36), jnp.asarray(strokes(8)[0].inputs)
    judge = "critic" if kind == "acai" else "discriminator"

    fooled = "fooled" if kind == "acai" else "adversary"

    @jax.jit
    def gradients(model):
        return [jax.grad(lambda m: family.loss(m, jax.random.key(1), batch)[1][p])(model) for p in (judge, fooled)]  # noqa: B023

    judging, fooling = gradients(model)
    assert min(parameters(judging, judge)) > 0
    assert all(max(parameters(judging, other)) == 0 for other in others)
    assert max(parameters(fooling, judge)) == 0
    assert all(max(parameters(fooling, other)) > 0 for other in others)


def test_acai_s_parts_are_what_their_formulas_say():
    family = acai.family(spec("acai", adversarial=0.7, blended=0.3), IMAGE)
    model, key, batch = family.initial(jax.random.key(0), 36), jax.random.key(1), jnp.asarray(strokes(8)[0].inputs)
    loss, parts = jax.jit(family.loss)(model, key, batch)
    share = np.asarray(jax.random.uniform(key, (8, 1), maxval=0.5))
    code = np.asarray(eqx.filter_jit(model.encoder)(batch))
    decoder, critic = eqx.filter_jit(model.decoder), eqx.filter_jit(model.critic)
    restored = np.asarray(decoder(jnp.asarray(code)))
    mixed = np.asarray(decoder(jnp.asarray(share * code[::-1] + (1 - share) * code)))

    def guess(images):
        return np.asarray(critic(jnp.asarray(images))).mean(1)

    np.testing.assert_allclose(parts["reconstruction"], ((restored - batch) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(parts["fooled"], (guess(mixed) ** 2).mean(), rtol=1e-4)
    judged = ((guess(mixed) - share[:, 0]) ** 2).mean() + (guess(0.3 * batch + 0.7 * restored) ** 2).mean()
    np.testing.assert_allclose(parts["critic"], judged, rtol=1e-4)
    np.testing.assert_allclose(loss, parts["reconstruction"] + 0.7 * parts["fooled"] + judged, rtol=1e-5)


def test_infogan_recognises_a_category_and_numbers_that_it_has_drawn():
    section = spec("infogan", features=5, categories=3, noise=2)
    family = infogan.family(section, IMAGE)
    model, key = family.initial(jax.random.key(0), 36), jax.random.key(1)
    _, parts = jax.jit(family.loss)(model, key, jnp.asarray(strokes(8)[0].inputs))
    key_category, key_rest = jax.random.split(key)
    category = np.asarray(jax.random.randint(key_category, (8,), 0, 3))
    rest = np.asarray(jax.random.uniform(key_rest, (8, 4), minval=-1.0))
    drawn = np.concatenate([np.eye(3)[category], rest], 1).astype(np.float32)
    read = np.asarray(eqx.filter_jit(model.recognised)(jax.nn.sigmoid(eqx.filter_jit(model.generator)(drawn))))
    likelihood = np.exp(read[:, :3]) / np.exp(read[:, :3]).sum(1, keepdims=True)
    expected = -np.log(likelihood[np.arange(8), category]).mean() + ((read[:, 3:] - rest[:, :2]) ** 2).mean()
    np.testing.assert_allclose(parts["code"], expected, rtol=1e-4)


def test_a_category_of_infogan_leaves_room_for_numbers():
    with pytest.raises(InputError, match=r"categories: 5 leave no numbers among 5 features; give fewer"):
        spec("infogan", features=5, categories=5)


def test_the_contrast_is_a_cross_entropy_of_cosines():
    views = np.random.default_rng(0).normal(size=(6, 4))
    loss, parts = contrastive.contrast(jnp.asarray(views, jnp.float32), 0.5)
    unit = views / np.linalg.norm(views, axis=1, keepdims=True)
    expected, found = [], []
    for i in range(6):
        others = [j for j in range(6) if j != i]
        weights = np.exp([unit[i] @ unit[j] / 0.5 for j in others])
        partner = others.index((i + 3) % 6)
        expected.append(-np.log(weights[partner] / weights.sum()))
        found.append(weights.argmax() == partner)
    np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-5)
    np.testing.assert_allclose(parts["found"], np.mean(found))


def test_jitter_of_nothing_changes_no_pixel_and_shifts_move_them():
    images = jnp.asarray(np.random.default_rng(0).random((40, 6, 6, 2)), jnp.float32)
    still = Jitter(rotation=0.0, scale=0.0, shift=0.0, shear=0.0)
    np.testing.assert_allclose(augmented(jax.random.key(0), images, still), images, atol=1e-6)
    point = jnp.zeros((40, 9, 9, 1)).at[:, 4, 4].set(1.0)
    moved = augmented(jax.random.key(0), point, still._replace(shift=0.3))[..., 0]
    np.testing.assert_allclose(moved.sum((1, 2)), 1, atol=1e-5)
    rows = (moved.sum(2) * jnp.arange(9)).sum(1) - 4
    assert 1.5 < np.abs(rows).max() < 0.3 * 9
    assert rows.min() < 0 < rows.max()


def test_deep_cluster_whitens_by_the_training_examples_and_codes_are_of_unit_length():
    rng, fitted = np.random.default_rng(0), np.arange(50) < 40
    codes = (rng.normal(size=(50, 5)) @ rng.normal(size=(5, 5)) + 3).astype(np.float32)
    found = deep_cluster.whitened(codes, fitted, 3)
    centred = codes - codes[fitted].mean(0)
    _, deviations, directions = np.linalg.svd(centred[fitted], full_matrices=False)
    expected = centred @ directions[:3].T / (deviations[:3] / 39**0.5)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    signs = np.sign((expected * found).sum(0))
    np.testing.assert_allclose(found, signs * expected, atol=1e-3)


def test_every_pseudo_label_is_as_frequent_in_batches():
    classes = np.repeat([0, 2, 7], [1, 9, 90])
    inputs, of_inputs = drawn(jax.random.key(0), jnp.arange(100.0)[:, None], jnp.asarray(classes), 6000)
    np.testing.assert_array_equal(of_inputs, classes[np.asarray(inputs[:, 0], int)])
    # 2,000 each, standard deviation 37; examples of a class alike: 22 each of 90.
    assert all(abs((np.asarray(of_inputs) == label).sum() - 2000) < 150 for label in (0, 2, 7))
    assert np.bincount(np.asarray(inputs[:, 0], int))[10:].min() > 3


def test_deep_cluster_tells_its_clusters_better_until_they_are_others(tmp_path):
    data, _ = strokes()
    section = spec("deep-cluster", steps=[120], every=60, clustered_every=60)
    (told,) = deep_cluster.embed(data, section, seeds=[0], folder=Folder(tmp_path, {"config": "x"})).history["told"]
    # By chance it is a sixth.
    assert told[45:60].mean() > 0.5
    assert told[60:65].mean() < told[45:60].mean() - 0.15
    assert told[105:].mean() > 0.5


def test_deep_cluster_stopped_between_two_clusterings_ends_with_the_same_bytes(tmp_path):
    data, _ = strokes()
    section, record = spec("deep-cluster", every=10, steps=[0, 60]), {"config": "x"}
    whole, stopped = Folder(tmp_path / "whole", record), Folder(tmp_path / "stopped", record)
    training = NeuralTraining(deep_cluster.family(section, IMAGE), data.inputs[data.train], section, [0, 1], stopped)
    for item in resumed(training, stopped, Keep()):
        if training.step(item.state) == 30:
            break
    assert sorted(set(np.asarray(item.state.classes).ravel())) == [0, 1, 2, 3, 4, 5]
    one, other = (deep_cluster.embed(data, section, seeds=[0, 1], folder=folder) for folder in (whole, stopped))
    assert one.features.tobytes() == other.features.tobytes()
    assert one.history["loss"].tobytes() == other.history["loss"].tobytes()
    np.testing.assert_allclose(np.linalg.norm(one.features, axis=3), 1, rtol=1e-5)


def test_more_clusters_than_training_examples_are_one_line(tmp_path):
    folder = Folder(tmp_path, {"config": "x"})
    with pytest.raises(
        InputError, match=r"^deep-cluster: clusters: 41 are more than the 40 training examples; give fewer$"
    ):
        deep_cluster.embed(strokes()[0], spec("deep-cluster", clusters=41), seeds=[0], folder=folder)


def test_data_without_images_are_one_line(tmp_path):
    data = strokes()[0]._replace(image=None)
    with pytest.raises(InputError, match=r"^convolutions take images, but the dataset has none; choose another"):
        acai.embed(data, spec("acai"), seeds=[0], folder=Folder(tmp_path, {"config": "x"}))
