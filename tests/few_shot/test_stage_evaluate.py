"""The stage that evaluates learners on episodes, on features of one seed, of several, and of several thetas."""

import json

import numpy as np
import pytest
import xarray as xr
from metaplastic.datasets.arrays import load_inputs
from metaplastic.datasets.schema import About, make_dataset, permuted, with_attributes
from metaplastic.features import Identity, features_dataset, read_examples, read_features, write_features
from metaplastic.few_shot.episode_accuracy import evaluation
from metaplastic.few_shot.readout_accuracy import evaluate
from metaplastic.few_shot.spec import FewShot
from metaplastic.io.storage import read_netcdf, read_zarr, write_zarr
from metaplastic.stages import evaluate as stage
from metaplastic.stages.meta_learn import learn
from metaplastic.stages.partition import partition
from refusals import refused

EXAMPLES, CLASSES = 48, 8
SPLIT = (np.arange(EXAMPLES) % 3 == 0).astype(np.uint8)


def image_store(path, side):
    labels = np.repeat(np.arange(CLASSES), EXAMPLES // CLASSES)
    images = np.random.default_rng(0).integers(0, 255, (EXAMPLES, side, side, 1)).astype(np.uint8)
    names = [str(label) for label in range(CLASSES)]
    made = make_dataset(images, labels, labels >= 4, About("mine", "", "", ""), class_names=names)
    write_zarr(made.assign_attrs(name="mine"), path, spec={}, code="")
    return path


@pytest.fixture
def dataset(tmp_path):
    return image_store(tmp_path / "mine.zarr", 4)


def stored(path, values, dataset):
    identity = Identity("rule", "meta-trained", "mine")
    made = features_dataset(values, [0, 9], read_zarr(dataset))
    write_features(made, path, identity=identity, spec={}, code="", seconds=1.0)
    return path


def accuracies(features):
    episodes = {"ways": [4], "shots": [1], "queries": 2, "episodes": 30}
    section = {"kind": "nearest-neighbours"}
    return evaluation(data=str(features), spec=json.dumps(episodes), code="", learner="near", section=section)


def test_every_seed_is_evaluated_on_the_same_episodes(dataset, tmp_path):
    labels = np.repeat(np.arange(CLASSES), EXAMPLES // CLASSES)
    random = np.random.default_rng(1).normal(size=(2, 3, 2, EXAMPLES, 5)).astype(np.float32)
    # The second seed of the second theta knows the classes after its last step.
    random[1, 1, 1] = 100 * np.eye(CLASSES)[labels][:, :5] + np.arange(EXAMPLES)[:, None] * (labels[:, None] >= 5)
    several = accuracies(stored(tmp_path / "several.zarr", random, dataset))
    assert several["accuracy"].dims == ("seed", "way", "shots", "episode")
    assert several.sizes["seed"] == 6
    assert several["accuracy"].mean(("way", "shots", "episode")).values.argmax() == 4
    one = accuracies(stored(tmp_path / "one.zarr", random[:1, 0], dataset))
    assert one["accuracy"].dims == ("way", "shots", "episode")
    xr.testing.assert_equal(one["accuracy"], several["accuracy"].isel(seed=0))
    assert (one.attrs["dataset"], one.attrs["permuted"], one.attrs["embedding"]) == ("mine", 0, "rule")


def test_partitions_are_of_the_first_seed_of_the_first_theta(dataset, tmp_path):
    values = np.random.default_rng(1).normal(size=(2, 3, 2, EXAMPLES, 5)).astype(np.float32)
    found = read_examples(stored(tmp_path / "several.zarr", values, dataset))
    inputs = np.stack([of_seed.inputs for of_seed in found.seeds])
    np.testing.assert_array_equal(inputs, values[:, :, -1].reshape(6, EXAMPLES, 5))
    own = read_zarr(dataset)
    for of_seed in found.seeds:
        np.testing.assert_array_equal(of_seed.labels, own["label"])
        np.testing.assert_array_equal(of_seed.split, own["split"])


def test_an_evaluation_tells_what_has_trained_its_learner(tmp_path):
    dataset = image_store(tmp_path / "mine.zarr", 16)
    values = np.random.default_rng(1).normal(size=(1, 2, EXAMPLES, 5)).astype(np.float32)
    features, clusters = stored(tmp_path / "features.zarr", values, dataset), tmp_path / "clusters.zarr"
    section = {"kind": "k-means", "clusters": 3, "partitions": 2, "members": 3, "accepted": 0.5}
    partition("mine-of-them", json.dumps(section), "", features, clusters)
    tasks = {"way": 2, "shots": 1, "queries": 1}
    learner = {"kind": "protonets", "tasks": tasks, "steps": [1], "rounds": 2, "every": 1, "filters": 1}
    snapshots, history = tmp_path / "of" / "snapshots", tmp_path / "of" / "history.zarr"
    learn("mine", json.dumps(learner), "", "", dataset, clusters, snapshots, history)
    spec = json.dumps({"ways": [2], "shots": [1], "queries": 1, "episodes": 2})
    of = {"learner": "mine", "section": learner, "snapshots": str(snapshots)}
    found = evaluation(data=str(dataset), spec=spec, code="", **of)
    told = {"learner": "mine", "partition": "mine-of-them", "partitions": 2, "clusters": 3, "embedding": "rule"}
    for attributes in (found.attrs, read_zarr(history).attrs):
        assert {name: attributes[name] for name in told} == told
    assert found.attrs["training_steps"] == 2
    assert found.attrs["training_seconds"] > 0


def test_features_of_a_dataset_with_attributes_are_evaluated_and_partitioned_alone(tmp_path):
    values = np.random.default_rng(0).random((EXAMPLES, 6)) < 0.5
    images = np.random.default_rng(0).integers(0, 255, (EXAMPLES, 4, 4, 1)).astype(np.uint8)
    split = np.repeat(np.array([0, 1], np.uint8), EXAMPLES // 2)
    faces = make_dataset(images, np.zeros(EXAMPLES, int), split, About("faces", "", "", ""), class_names=["face"])
    faces = with_attributes(faces, values, np.repeat(np.array([0, 1], np.uint8), 3), list("abcdef"))
    dataset = tmp_path / "faces.zarr"
    write_zarr(permuted(faces, 1).assign_attrs(name="mine"), dataset, spec={}, code="")
    # The first feature tells the two sides of a test task apart.
    told = values @ (2.0 ** np.arange(6))
    features = stored(tmp_path / "x.zarr", np.broadcast_to(told[:, None], (1, 2, EXAMPLES, 1)).astype("f4"), dataset)
    store = read_features(features)
    assert store["attribute"].variable.equals(faces["attribute"].variable)
    assert store["split"].attrs == faces["split"].attrs
    spec = json.dumps({"ways": [2], "shots": [1], "queries": 1, "episodes": 20})
    for data, name, kind in ((features, "near", "nearest-neighbours"), (dataset, "scratch", "from-scratch")):
        keys = {"filters": 1, "steps": 1} if name == "scratch" else {}
        section = {"kind": kind, **keys}
        attributes = evaluation(data=str(data), spec=spec, code="", learner=name, section=section).attrs
        assert (attributes["dataset"], attributes["permuted"]) == ("mine", 1)
    section = json.dumps({"kind": "labels", "members": 2, "partitions": 3})
    for data, name in ((features, "one.zarr"), (dataset, "other.zarr")):
        partition("oracle", section, "", data, tmp_path / name)
    one, other = (read_zarr(tmp_path / name)["cluster"] for name in ("one.zarr", "other.zarr"))
    assert one.equals(other)
    assert (one.max(), one.sizes["partition"]) == (1, 3)


def evaluated(folder, module, spec, *asked, **options):
    """Run the stage in a folder."""
    made = [folder / name for name in ("summary.nc", "table.md", "table.html")]
    texts = list(map(json.dumps, asked))
    module = f"metaplastic.few_shot.{module}"
    stage.evaluate("mine", json.dumps(spec), module, texts, folder / "evaluations", *made, **options)


def few_shot(path, folder, *, shots=(1, 2), code="abc"):
    """Run the stage on one features store; return the evaluation that it has left."""
    asked = {"place": "pca/mine", "data": str(path), "code": code}
    spec = {"shots": list(shots), "draws": 3}
    evaluated(folder, "readout_accuracy", spec, asked, first=folder / "table.csv")
    return folder / "evaluations/pca/mine.nc"


@pytest.fixture
def readable(dataset, tmp_path):
    """Features of the dataset, and both as the readouts see them."""
    values = np.random.default_rng(1).normal(size=(1, 1, EXAMPLES, 5)).astype(np.float32)
    labelled = read_zarr(dataset).assign(split=("example", SPLIT))
    made, path = features_dataset(values, [0], labelled), tmp_path / "x.zarr"
    write_features(made, path, identity=Identity("pca", "pca", "mine"), spec={}, code="", seconds=1.0)
    return path, made["features"], load_inputs(labelled)


def test_readouts_need_the_features_store_alone(readable, tmp_path):
    path, features, inputs = readable
    found = read_netcdf(few_shot(path, tmp_path))
    xr.testing.assert_equal(found, evaluate(features, inputs, FewShot(shots=[1, 2], draws=3)))
    assert (found.attrs["modality"], found.attrs["method"], found.attrs["code"]) == ("image", "pca", "abc")
    assert "permuted" not in found.attrs
    assert refused(few_shot, path, tmp_path, shots=[5]).startswith(f"{path}: few_shot.shots: 5 labelled")


def test_an_evaluation_is_kept_until_something_changes_that_it_depends_on(readable, tmp_path, capsys):
    path, features, _ = readable

    def made(**changed):
        few_shot(path, tmp_path, **changed)
        return int(capsys.readouterr().err.split()[0])

    assert [made(), made(), made(shots=[1]), made(shots=[1], code="b"), made(shots=[1], code="b")] == [1, 0, 1, 1, 0]
    kept, summary = tmp_path / "evaluations/pca/mine.nc", (tmp_path / "summary.nc").read_bytes()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-100])
    assert made(shots=[1], code="b") == 1
    assert (kept.read_bytes(), (tmp_path / "summary.nc").read_bytes()) == (whole, summary)
    identity = Identity("pca", "pca", "mine")
    changed = read_zarr(path).assign(features=features + np.arange(5, dtype=np.float32)).drop_attrs(deep=False)
    write_features(changed.assign_attrs(modality="image"), path, identity=identity, spec={}, code="", seconds=1.0)
    assert made(shots=[1], code="b") == 1


def test_several_processes_evaluate_as_one_does(readable, tmp_path):
    path, *_ = readable
    spec = {"ways": [4], "shots": [1], "queries": 1, "episodes": 5}
    kinds = {"near": "nearest-neighbours", "line": "linear"}
    asked = [
        {"place": f"{name}/mine", "data": str(path), "code": "", "learner": name, "section": {"kind": kind}}
        for name, kind in kinds.items()
    ]
    found = []
    for cores in (1, 2):
        folder = tmp_path / str(cores)
        evaluated(folder, "episode_accuracy", spec, *asked, cores=cores)
        found.append([file.read_bytes() for file in sorted(folder.rglob("*.*")) if file.is_file()])
    assert found[0] == found[1]
    assert len(found[0]) == 5
