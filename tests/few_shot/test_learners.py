import json
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.config.base import parse_spec
from metaplastic.embeddings.base import Unlabelled
from metaplastic.embeddings.networks import convolved
from metaplastic.few_shot.learners import (
    cluster_matching,
    from_scratch,
    linear,
    maml,
    mlp,
    nearest_neighbours,
    protonets,
)
from metaplastic.few_shot.learners.networks import Network
from metaplastic.few_shot.spec import Learner, Maml, ProtoNets, Shape
from metaplastic.io.errors import InputError

IMAGE = (5, 5, 1)
SMALL = Maml(
    kind="maml", tasks=Shape(way=3, shots=2, queries=2), filters=2, inner_steps=2, test_inner_steps=3, inner_rate=0.3
)


def task(way: int = 3, shots: int = 2, queries: int = 2, width: int = 25):
    """Support and query of classes that differ."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(way, 1, width))
    return tuple(jnp.asarray(centres + 0.3 * rng.normal(size=(way, n, width)), jnp.float32) for n in (shots, queries))


def batch_norm(x, statistics=None):
    mean, variance = statistics or (x.mean((0, 1, 2)), x.var((0, 1, 2)))
    return (x - mean) / np.sqrt(variance + 1e-5)


def convolution(x, kernel, stride):
    """Written out: zeros around the image, so that the output has its sides over `stride`, rounded up."""
    rows, columns = (-(-side // stride) for side in x.shape[1:3])
    before = [
        max(0, (out - 1) * stride + 3 - side) // 2 for out, side in zip((rows, columns), x.shape[1:3], strict=True)
    ]
    padded = np.zeros((len(x), x.shape[1] + 4, x.shape[2] + 4, x.shape[3]))
    padded[:, before[0] : before[0] + x.shape[1], before[1] : before[1] + x.shape[2]] = x
    out = np.zeros((len(x), rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            patch = padded[:, i * stride : i * stride + 3, j * stride : j * stride + 3]
            out[:, i, j] = np.einsum("brcf,rcfg->bg", patch, kernel)
    return out


def written_out(network, images, known=None):
    x = np.asarray(images, np.float64).reshape(-1, *network.image)
    pooled = network.blocks == "pool"
    for block, kernel in enumerate(np.asarray(k, np.float64) for k in network.kernels):
        x = batch_norm(convolution(x, kernel, 1 if pooled else 2), known[block] if known else None)
        x = np.maximum(x * (1 if network.scales is None else network.scales[block]) + network.shifts[block], 0)
        if pooled:
            r, c = x.shape[1] // 2, x.shape[2] // 2
            x = np.max([x[:, i : 2 * r : 2, j : 2 * c : 2] for i in (0, 1) for j in (0, 1)], 0)
    return x.reshape(len(x), -1) if pooled else x.mean((1, 2))


def shifted(network: Network) -> Network:
    """With shifts, and scales if it has them, that are not those of the beginning."""
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape).astype(np.float32), network)


@pytest.mark.parametrize(
    ("blocks", "image", "scaled"),
    [("stride", (7, 6, 2), False), ("pool", (17, 16, 2), True), ("pool", (16, 33, 1), False)],
)
def test_features_are_what_numpy_makes_of_four_blocks(blocks, image, scaled):
    network = shifted(Network(jax.random.key(0), image, 3, blocks, scaled=scaled))
    images = np.random.default_rng(0).normal(size=(5, int(np.prod(image)))).astype(np.float32)
    of = jax.jit(lambda images, known: network.features(images, known))
    features, seen = of(jnp.asarray(images), None)
    np.testing.assert_allclose(features, written_out(network, images), rtol=1e-4, atol=1e-4)
    assert features.shape == (5, network.width)
    # Known statistics make an example's features its own.
    alone, _ = of(jnp.asarray(images[:1]), seen)
    np.testing.assert_allclose(alone, features[:1], rtol=1e-4, atol=1e-4)


def test_prototypical_networks_are_what_numpy_makes_of_them():
    spec = ProtoNets(kind="protonets", filters=3)
    image = (16, 16, 1)
    learner = protonets.initial(spec, jax.random.key(0), image)
    learner = eqx.tree_at(lambda model: model.network, learner, shifted(learner.network))
    support, query = task(way=4, shots=2, queries=3, width=256)
    outcome = eqx.filter_jit(learner.outcome)(support, query)
    features = written_out(learner.network, np.concatenate([support.reshape(8, -1), query.reshape(12, -1)]))
    prototypes = features[:8].reshape(4, 2, -1).mean(1)
    distance = ((features[8:, None] - prototypes) ** 2).sum(2)
    likelihood = np.exp(-distance) / np.exp(-distance).sum(1, keepdims=True)
    true = np.repeat(np.arange(4), 3)
    np.testing.assert_allclose(outcome.loss, -np.log(likelihood[np.arange(12), true]).mean(), rtol=1e-3)
    np.testing.assert_allclose(outcome.accuracy, (distance.argmin(1) == true).mean())

    # At evaluation the batch norm has running statistics, which move a tenth of the way each step.
    settled = learner.settled(outcome.seen)
    for old, new, seen in zip(learner.running, settled.running, outcome.seen, strict=True):
        np.testing.assert_allclose(new.mean, 0.9 * old.mean + 0.1 * seen.mean, rtol=1e-5)
        np.testing.assert_allclose(new.variance, 0.9 * old.variance + 0.1 * seen.variance, rtol=1e-5)
    known = [tuple(map(np.asarray, statistics)) for statistics in settled.running]
    of_support = written_out(learner.network, support.reshape(8, -1), known).reshape(4, 2, -1).mean(1)
    of_query = written_out(learner.network, query.reshape(12, -1), known)
    nearest = ((of_query[:, None] - of_support) ** 2).sum(2).argmin(1)
    np.testing.assert_array_equal(settled.predict(np.array(support)[None], np.array(query)[None])[0].ravel(), nearest)


def test_blocks_are_pooled_before_they_are_normalised_whatever_the_sign_of_their_scales():
    network = Network(jax.random.key(0), (9, 8, 1), 4, "pool", scaled=True)
    network = eqx.tree_at(lambda n: n.scales, network, (jnp.array([1.0, -0.5, 0.0, 2.0]),) * 4)
    network = eqx.tree_at(lambda n: n.shifts, network, (jnp.array([0.1, 0.2, 0.3, -0.1]),) * 4)
    one_block = eqx.tree_at(lambda n: n.kernels, network, network.kernels[:1])
    images = jax.random.normal(jax.random.key(1), (6, 72))
    (found, _), x = one_block.features(images), np.asarray(convolved(images.reshape(6, 9, 8, 1), network.kernels[0]))
    x = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5) * network.scales[0] + network.shifts[0]
    expected = np.maximum(x, 0)[:, :8].reshape(6, 4, 2, 4, 2, 4).max((2, 4))
    np.testing.assert_allclose(found, expected.reshape(6, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_gradients_of_prototypical_networks_are_the_same_bytes_on_any_number_of_threads():
    code = """
import hashlib, jax
from metaplastic.few_shot.spec import ProtoNets
from metaplastic.few_shot.learners import protonets
learner = protonets.initial(ProtoNets(kind="protonets", filters=64), jax.random.key(0), (28, 28, 1))
support, query = (jax.random.normal(jax.random.key(n), (20, n, 784)) for n in (1, 5))
gradient = jax.jit(jax.grad(lambda learner: learner.outcome(support, query).loss))(learner)
print(hashlib.md5(b"".join(bytes(leaf) for leaf in jax.device_get(jax.tree.leaves(gradient)))).hexdigest())
"""

    def on(threads: int) -> bytes:
        return subprocess.check_output([sys.executable, "-c", code], env={**os.environ, "NPROC": str(threads)})

    assert on(1) == on(2) == on(3)


@pytest.mark.parametrize("learner", ["protonets", pytest.param("maml", marks=pytest.mark.slow)])
def test_a_training_step_shared_out_over_devices_is_the_same_step(learner: str) -> None:
    code = f"""
import jax, json, numpy as np
from pathlib import Path
from metaplastic.config.base import parse_spec
from metaplastic.few_shot.episodes import pool
from metaplastic.few_shot.learners import {learner} as module
from metaplastic.few_shot.learners.meta_learning import MetaLearning
from metaplastic.few_shot.spec import Learner
from metaplastic.training.loop import Folder
section = parse_spec(Learner, json.dumps({{
    "kind": "{learner}", "filters": 4, "steps": [100], "tasks": {{"way": 4, "shots": 1, "queries": 1}}
}}))
inputs = np.random.default_rng(0).random((40, 256), np.float32)
labels = np.repeat(np.arange(8), 5)[None]
tasks = pool(labels, np.ones(40, bool), section.tasks, place="tasks")
training = MetaLearning(module.initial, section, inputs, (16, 16, 1), tasks, Folder(Path("/dev/null"), {{}}))
after, metrics = training.dispatched(training.initial(), training.data, 1)
print(jax.device_count(), float(metrics["loss"][0]), *np.stack([abs(k).sum() for k in after.network.network.kernels]))
"""

    def on(devices: int) -> list[float]:
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices)}
        return list(map(float, subprocess.check_output([sys.executable, "-c", code], env=environment).split()))

    (one, *alone), (two, *shared_out) = on(1), on(2)
    assert (one, two) == (1, 2)
    np.testing.assert_allclose(shared_out, alone, rtol=1e-5)


def test_a_query_of_prototypical_networks_does_not_depend_on_the_others():
    learner = protonets.initial(ProtoNets(kind="protonets", filters=2), jax.random.key(0), (16, 16, 1))
    support, query = task(width=256)
    changed = query.at[1:].set(9.0)
    scores, others = (eqx.filter_jit(learner.scores)(support, of_query)[0] for of_query in (query, changed))
    np.testing.assert_allclose(scores, others, rtol=1e-5)


def of_adapted(learner, support, query):
    return learner.outcome(support, query).loss


def test_second_order_gradients_agree_with_finite_differences_and_first_order_ones_do_not():
    with jax.enable_x64(True):
        learner = maml.initial(SMALL, jax.random.key(0), IMAGE)
        rng = np.random.default_rng(0)
        # Away from the kinks of ReLU's zeros, which shifts of zero invite.
        learner = jax.tree.map(lambda leaf: jnp.asarray(leaf + 0.2 * rng.normal(size=leaf.shape), jnp.float64), learner)
        support, query = (jnp.asarray(x, jnp.float64) for x in task())
        leaves, structure = jax.tree.flatten(learner)
        direction = [rng.normal(size=leaf.shape) for leaf in leaves]

        @jax.jit
        def loss_at(distance):
            moved = [leaf + distance * step for leaf, step in zip(leaves, direction, strict=True)]
            return of_adapted(jax.tree.unflatten(structure, moved), support, query)

        def slope(learner):
            gradient = jax.tree.leaves(jax.jit(jax.grad(of_adapted))(learner, support, query))
            return sum(float((g * step).sum()) for g, step in zip(gradient, direction, strict=True))

        step = 1e-6
        expected = (loss_at(step) - loss_at(-step)) / (2 * step)
        np.testing.assert_allclose(slope(learner), expected, rtol=1e-5)
        inner = learner.inner._replace(first_order=True)
        first_order = maml.AdaptedNetwork(learner.network, learner.weights, learner.bias, inner)
        assert abs(slope(first_order) - expected) > 1e-2 * abs(expected)


def test_maml_with_pooling_has_the_published_features_and_adapts():
    spec = SMALL.model_copy(update={"downsample": "pool", "filters": 32})
    published = jax.eval_shape(lambda: maml.initial(spec, jax.random.key(0), (84, 84, 3)))
    assert published.weights.shape == (800, 3)
    learner = maml.initial(spec.model_copy(update={"filters": 4}), jax.random.key(0), (16, 16, 1))
    support, query = task(width=256)
    # A random network tells strangers apart badly, but the examples it adapts to well.
    logits = eqx.filter_jit(lambda shown: learner.adapted(shown, 10).logits(shown))(support)
    assert (logits.argmax(2) == jnp.arange(3)[:, None]).all()
    assert not (eqx.filter_jit(learner.logits)(support).argmax(2) == jnp.arange(3)[:, None]).all()
    assert np.isfinite(eqx.filter_jit(learner.outcome)(support, query).loss)
    with pytest.raises(InputError, match=r"^images of 15 x 20 pixels: pooling halves them 4 times; give at least 16 x"):
        maml.initial(spec, jax.random.key(0), (15, 20, 1))


def test_an_inner_step_is_that_of_a_mean_loss_times_the_way_and_spares_the_shifts():
    learner = maml.initial(SMALL, jax.random.key(0), IMAGE)
    support, _ = task()

    def mean_loss(weights, bias):
        features, _ = learner.network.features(support.reshape(6, -1))
        likelihood = jax.nn.log_softmax(features @ weights + bias)
        return -likelihood[jnp.arange(6), jnp.repeat(jnp.arange(3), 2)].mean()

    slopes = jax.jit(jax.grad(mean_loss, (0, 1)))(learner.weights, learner.bias)
    adapted = eqx.filter_jit(learner.adapted)(support, 1)
    np.testing.assert_allclose(adapted.weights, learner.weights - 0.3 * 3 * slopes[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(adapted.bias, learner.bias - 0.3 * 3 * slopes[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(adapted.network.shifts, learner.network.shifts)
    assert not np.allclose(adapted.network.kernels[0], learner.network.kernels[0])


def test_all_classes_begin_alike_from_a_head_of_zero():
    learner = maml.initial(SMALL.model_copy(update={"head": 0.0}), jax.random.key(0), IMAGE)
    published = maml.initial(SMALL, jax.random.key(0), IMAGE)
    support, query = task()
    np.testing.assert_array_equal(learner.network.kernels[0], published.network.kernels[0])
    assert np.ptp(eqx.filter_jit(learner.logits)(query), axis=-1).max() == 0
    # So it does not matter in which order they come.
    scored = eqx.filter_jit(lambda model, flip: model.scores(support[::flip], query[::flip])[::flip, :, ::flip])
    np.testing.assert_allclose(scored(learner, -1), scored(learner, 1), rtol=1e-3, atol=1e-4)
    assert not np.allclose(scored(published, -1), scored(published, 1), rtol=1e-3, atol=1e-4)


def test_fewer_ways_than_in_training_use_the_first_outputs():
    learner = maml.initial(SMALL, jax.random.key(0), IMAGE)
    support, query = task(way=2)
    cut = maml.AdaptedNetwork(learner.network, learner.weights[:, :2], learner.bias[:2], learner.inner)
    scores = eqx.filter_jit(learner.scores)(support, query)
    assert scores.shape == (2, 2, 2)
    np.testing.assert_array_equal(scores, eqx.filter_jit(cut.scores)(support, query))


MODULES = {
    "nearest-neighbours": (nearest_neighbours, {}),
    "linear": (linear, {}),
    "mlp": (mlp, {"hidden": 16, "learning_rate": 0.01}),
    "cluster-matching": (cluster_matching, {"clusters": 6, "restarts": 2}),
    "from-scratch": (from_scratch, {"filters": 4, "steps": 20}),
}


@pytest.mark.parametrize("kind", MODULES)
def test_what_is_fitted_on_each_episode_tells_classes_apart_whatever_their_order(kind):
    module, keys = MODULES[kind]
    rng = np.random.default_rng(0)
    centres = 3 * rng.normal(size=(6, 25)).astype(np.float32)
    data = Unlabelled(np.repeat(centres, 8, axis=0), np.ones(48, bool), IMAGE)
    learner = module.fit(parse_spec(Learner, json.dumps({"kind": kind, **keys})), data)
    chosen = np.stack([rng.permutation(6)[:3] for _ in range(4)])
    support, query = (
        centres[chosen][:, :, None] + 0.3 * rng.normal(size=(4, 3, n, 25)).astype(np.float32) for n in (2, 5)
    )
    predicted = learner.predict(support, query)
    assert predicted.shape == (4, 3, 5)
    assert (predicted == np.arange(3)[:, None]).mean() > (0.8 if kind == "from-scratch" else 0.95)
    turned = learner.predict(support[:, ::-1], query[:, ::-1])
    assert (turned == np.arange(3)[:, None]).mean() > (0.8 if kind == "from-scratch" else 0.95)


def test_clusters_take_the_majority_of_their_support_and_those_without_any_the_nearest():
    centroids = np.array([[0.0], [10.0], [11.0]], np.float32)
    support = np.array([[0.1], [-0.1], [0.2], [9.9]], np.float32)
    predicted = cluster_matching.matched(
        centroids, support, np.array([0, 1, 1, 0]), np.array([[1.0], [9.0], [11.0]], np.float32)
    )
    np.testing.assert_array_equal(predicted, [1, 0, 0])


def test_more_clusters_than_examples_to_match_are_one_line():
    spec = parse_spec(Learner, '{"kind": "cluster-matching", "clusters": 9}')
    with pytest.raises(InputError, match=r"^clusters: 9 are more than the 8 training examples; give fewer$"):
        cluster_matching.fit(spec, Unlabelled(np.zeros((8, 2), np.float32), np.ones(8, bool), None))


def test_prototypes_need_images_that_pooling_leaves_something_of():
    spec = ProtoNets(kind="protonets", filters=2)
    with pytest.raises(InputError, match=r"^images of 20 x 15 pixels: pooling halves them 4 times; give at least 16 x"):
        protonets.initial(spec, jax.random.key(0), (20, 15, 1))
