"""The stage that evaluates learners on episodes, on features of one seed, of several, and of several thetas."""

import json

import numpy as np
import pytest
import xarray as xr
from metaplastic.datasets.schema import About, image_dataset
from metaplastic.features import Identity, features_dataset, write_features
from metaplastic.io.storage import read_netcdf, read_zarr, write_zarr
from metaplastic.stages.evaluate_episodes import evaluate_episodes
from metaplastic.stages.meta_learn import learn
from metaplastic.stages.partition import partition
from metaplastic.stages.stores import read_embedding

EXAMPLES, CLASSES = 48, 8


def image_store(path, side):
    labels = np.repeat(np.arange(CLASSES), EXAMPLES // CLASSES)
    images = np.random.default_rng(0).integers(0, 255, (EXAMPLES, side, side, 1)).astype(np.uint8)
    names = [str(label) for label in range(CLASSES)]
    made = image_dataset(images, labels, labels >= 4, About("mine", "", "", ""), class_names=names)
    write_zarr(made.assign_attrs(name="mine"), path, spec={}, code="")
    return path


@pytest.fixture
def dataset(tmp_path):
    return image_store(tmp_path / "mine.zarr", 4)


def stored(path, values):
    identity = Identity("rule", "meta-trained", "mine")
    write_features(features_dataset(values, [0, 9]), path, identity=identity, spec={}, code="", seconds=1.0)
    return path


def accuracies(dataset, features, output):
    spec = {"ways": [4], "shots": [1], "queries": 2, "episodes": 30}
    learner = json.dumps({"kind": "nearest-neighbours"})
    evaluate_episodes("near", learner, json.dumps(spec), "", dataset, output, features)
    return read_netcdf(output)


def test_every_seed_is_evaluated_on_the_same_episodes(dataset, tmp_path):
    labels = np.repeat(np.arange(CLASSES), EXAMPLES // CLASSES)
    random = np.random.default_rng(1).normal(size=(2, 3, 2, EXAMPLES, 5)).astype(np.float32)
    # The second seed of the second theta knows the classes after its last step.
    random[1, 1, 1] = 100 * np.eye(CLASSES)[labels][:, :5] + np.arange(EXAMPLES)[:, None] * (labels[:, None] >= 5)
    several = accuracies(dataset, stored(tmp_path / "several.zarr", random), tmp_path / "several.nc")
    assert several["accuracy"].dims == ("seed", "way", "shots", "episode")
    assert several.sizes["seed"] == 6
    means = several["accuracy"].mean(("way", "shots", "episode")).values
    assert means.argmax() == 4
    (one,) = (accuracies(dataset, stored(tmp_path / "one.zarr", random[:1, 0]), tmp_path / "one.nc"),)
    assert one["accuracy"].dims == ("way", "shots", "episode")
    xr.testing.assert_equal(one["accuracy"], several["accuracy"].isel(seed=0))
    assert (one.attrs["dataset"], one.attrs["permuted"], one.attrs["embedding"]) == ("mine", 0, "rule")


def test_partitions_are_of_the_first_seed_of_the_first_theta(dataset, tmp_path):
    values = np.random.default_rng(1).normal(size=(2, 3, 2, EXAMPLES, 5)).astype(np.float32)
    found = read_embedding(stored(tmp_path / "several.zarr", values), read_zarr(dataset))
    np.testing.assert_array_equal(found.values, values[:, :, -1].reshape(6, EXAMPLES, 5))


def test_an_evaluation_tells_what_has_trained_its_learner(tmp_path):
    dataset = image_store(tmp_path / "mine.zarr", 16)
    values = np.random.default_rng(1).normal(size=(1, 2, EXAMPLES, 5)).astype(np.float32)
    features, clusters = stored(tmp_path / "features.zarr", values), tmp_path / "clusters.zarr"
    section = {"kind": "k-means", "clusters": 3, "partitions": 2, "members": 3, "accepted": 0.5}
    partition("mine-of-them", json.dumps(section), "", dataset, clusters, features)
    tasks = {"way": 2, "shots": 1, "queries": 1}
    learner = json.dumps({"kind": "protonets", "tasks": tasks, "steps": [1], "every": 1, "filters": 1})
    snapshots, history = tmp_path / "of" / "snapshots", tmp_path / "of" / "history.zarr"
    learn("mine", learner, "", "", dataset, clusters, snapshots, history)
    spec = json.dumps({"ways": [2], "shots": [1], "queries": 1, "episodes": 2})
    evaluate_episodes("mine", learner, spec, "", dataset, tmp_path / "mine.nc", None, snapshots)
    told = {"learner": "mine", "partition": "mine-of-them", "partitions": 2, "clusters": 3, "embedding": "rule"}
    for attributes in (read_netcdf(tmp_path / "mine.nc").attrs, read_zarr(history).attrs):
        assert {name: attributes[name] for name in told} == told
