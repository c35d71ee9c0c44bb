import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import known
from metaplastic.config.load import load
from metaplastic.embeddings.base import Unlabelled
from metaplastic.few_shot.episodes import pool
from metaplastic.few_shot.learners import protonets
from metaplastic.few_shot.learners.meta_learning import MetaLearning, recorded
from metaplastic.few_shot.partitions import partitions
from metaplastic.few_shot.rounds import features, finish, with_ways
from metaplastic.few_shot.spec import Labels, ProtoNets, Shape
from metaplastic.io.errors import InputError
from metaplastic.training.loop import SNAPSHOTS, Folder
from toy_images import IMAGE, PARTITION, images

SPEC = ProtoNets(kind="protonets", tasks=Shape(way=3, shots=1, queries=2), steps=[10], every=10, filters=4, rounds=2)


def test_the_second_round_goes_on_from_the_first_on_partitions_of_what_it_has_learned(tmp_path: Path) -> None:
    data = images()
    first = np.stack(list(partitions(PARTITION, data.train, features=data.inputs)))
    folders = finish(SPEC, data, PARTITION, first, Folder(tmp_path / "run", {"config": "x"}))
    learners = [recorded(protonets.initial, SPEC, IMAGE, folder.path / SNAPSHOTS, 10) for folder in folders]
    assert len(learners) == 2
    second = np.stack(list(partitions(PARTITION, data.train, features=features(learners[0], data.inputs))))
    assert (second != first).any()
    tasks, apart = pool(second, np.ones(60, bool), SPEC.tasks, place="tasks"), Folder(tmp_path / "apart", {})
    MetaLearning(lambda *_: learners[0], SPEC, data.inputs, IMAGE, tasks, apart).finish()
    expected = recorded(protonets.initial, SPEC, IMAGE, apart.path / SNAPSHOTS, 10)
    jax.tree.map(np.testing.assert_array_equal, learners[1], expected)
    # What has ended is not done again, though k-means may find other clusters the next time.
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert folders == finish(SPEC, data, PARTITION, first, folders[0])
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}


def test_a_later_round_has_fewer_ways_where_there_are_fewer_clusters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    data = images()
    three, two = ((np.where(data.train, np.arange(60) % n, -1)[None]).astype(np.int32) for n in (3, 2))
    monkeypatch.setattr("metaplastic.few_shot.rounds._partitioned", lambda *_, **__: two)
    folders = finish(SPEC, data, PARTITION, three, Folder(tmp_path, {"config": "x"}))
    learner = recorded(protonets.initial, SPEC, IMAGE, folders[1].path / SNAPSHOTS, 10)
    assert np.isfinite(features(learner, data.inputs)).all()
    large = "large enough for the 3 images that a task takes of each class; 2 are needed; give more"
    with pytest.raises(InputError, match=f"^clusters: a partition has 1 {large}"):
        with_ways(SPEC, np.zeros((1, 60), np.int32))


def test_features_do_not_depend_on_how_many_images_are_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, inputs = protonets.initial(SPEC, jax.random.key(0), IMAGE), images().inputs
    whole = features(learner, inputs)
    monkeypatch.setattr("metaplastic.perceptron.CHUNK", 7 * 256)
    np.testing.assert_allclose(features(learner, inputs), whole, rtol=1e-4, atol=1e-5)


def test_rounds_need_partitions_of_features() -> None:
    config = known()
    config["learners"]["again"] = {"kind": "protonets", "rounds": 2}
    config["partitions"]["true"] = {"kind": "labels", "members": 16}
    study = {"datasets": ["characters"], "partitions": ["true"], "learners": ["again"]}
    config["studies"]["rounds"] = study
    with pytest.raises(InputError, match=r"learners\.again\.rounds: 'true' of studies\.rounds partitions no features$"):
        load(config)
    study |= {"partitions": ["clusters"], "embeddings": ["pca"]}
    config["partitions"]["clusters"]["members"] = 16
    assert load(config).learners["again"].trainings == 2


def _training(images: Unlabelled, tmp_path: Path, **changes: object) -> tuple[MetaLearning, tuple]:
    spec = ProtoNets.model_validate_json(json.dumps(json.loads(SPEC.model_dump_json()) | changes))
    tasks = pool(np.arange(60)[None] % 6, np.ones(60, bool), spec.tasks, place="tasks")
    training = MetaLearning(protonets.initial, spec, images.inputs, IMAGE, tasks, Folder(tmp_path, {}))
    return training, training.data


def test_the_images_of_a_class_are_turned_together_by_quarters_of_a_circle(tmp_path: Path) -> None:
    # One pixel of each image is bright: in its first row, at the column of its class.
    marked = np.zeros((60, *IMAGE), np.float32)
    marked[np.arange(60), 0, 2 + np.arange(60) % 6] = 1
    data = Unlabelled(marked.reshape(60, -1), np.ones(60, bool), IMAGE)
    training, drawn_from = _training(data, tmp_path, turned=True)
    show, seen = jax.jit(training._shown), set()
    for key in jax.random.split(jax.random.key(0), 20):
        for support, query in zip(*show(key, *drawn_from), strict=True):
            assert (query == support).all(), "all of a class alike"
            back = [int(jnp.rot90(support.reshape(16, 16), -k)[0].sum()) for k in range(4)]
            seen.add(back.index(1))
    assert seen == {0, 1, 2, 3}
    plain, _ = _training(data, tmp_path)
    support, _ = jax.jit(plain._shown)(jax.random.key(0), *drawn_from)
    assert (support.reshape(3, 16, 16)[:, 0].sum(1) == 1).all()


def test_the_rate_is_halved_after_each_step_that_is_named(tmp_path: Path) -> None:
    halving, whole, half, quarter = (
        _training(images(), tmp_path, learning_rate=rate, halved=steps)[0]
        for rate, steps in ((0.02, [2, 4]), (0.02, None), (0.01, None), (0.005, None))
    )
    state = expected = whole.initial()
    for plain in (whole, half, quarter):
        (state, _), (expected, _) = (each.dispatched(expected, each.data, 2) for each in (halving, plain))
        jax.tree.map(np.testing.assert_array_equal, state.network, expected.network)


def test_images_that_are_not_square_are_not_turned(tmp_path: Path) -> None:
    data = Unlabelled(np.zeros((60, 512), np.float32), np.ones(60, bool), (16, 32, 1))
    clusters = (np.arange(60) % 6)[None].astype(np.int32)
    turned = SPEC.model_copy(update={"turned": True})
    with pytest.raises(InputError, match=r"^turned: images of 16x32 are not square"):
        finish(turned, data, Labels(kind="labels"), clusters, Folder(tmp_path, {}))
