import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.config.base import canonical_json, parse_spec
from metaplastic.embeddings import contrastive
from metaplastic.embeddings.base import Unlabelled
from metaplastic.few_shot import labelling, labelling_files
from metaplastic.few_shot.arguments import UNLABELLED
from metaplastic.few_shot.labelling import Recipe, untrained
from metaplastic.few_shot.learners import protonets
from metaplastic.few_shot.spec import Learner, ProtoNets
from metaplastic.few_shot_classifier import FewShotClassifier
from metaplastic.io.errors import InputError
from metaplastic.io.tensors import write_safetensors
from metaplastic.training.checkpoint import save_state
from metaplastic.training.loop import Folder
from metaplastic.update_rules.pretrained import pretrained_file
from refusals import refused
from safetensors import safe_open
from scipy.ndimage import gaussian_filter
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

SIDE = 16
PIXELS = ("raw", "nearest-neighbours")
PROTONETS = {"kind": "protonets", "filters": 8}
SMALLEST = {"kind": "protonets", "filters": 2, "tasks": {"way": 2, "queries": 1}}
MAML = {"kind": "maml", "filters": 4, "inner_steps": 1, "test_inner_steps": 10, "tasks": {"way": 6}}
CONTRASTIVE = {"kind": "contrastive", "filters": [4], "features": 8, "projected": 8, "batch": 16}


def drawn(classes: int, each: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of classes that are patterns of 4 x 4 squares, shifted and noisy, and their classes."""
    rng = np.random.default_rng(seed)
    patterns = (rng.random((classes, 4, 4)) > 0.5).repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)
    shifted = [np.roll(pattern, rng.integers(-2, 3, 2), (0, 1)) for pattern in patterns for _ in range(each)]
    images = 0.1 + 0.8 * np.stack(shifted) + 0.2 * rng.normal(size=(classes * each, SIDE, SIDE))
    return np.clip(images, 0, 1), np.repeat(np.arange(classes), each)


UNSEEN, CLASSES = drawn(5, 20, seed=2)
"""Images of classes that nothing below is trained on."""
FEW, REST = np.arange(100) % 20 < 2, np.arange(100) % 20 >= 2


def fitted(embedding: Any, method: Any, **params: Any) -> FewShotClassifier:
    return FewShotClassifier(embedding, method, **params).fit(drawn(20, 12, seed=1)[0])


@pytest.fixture(scope="module")
def pixels() -> FewShotClassifier:
    return fitted(*PIXELS)


@pytest.fixture(scope="module")
def trained() -> FewShotClassifier:
    """ProtoNets on clusters of principal components."""
    return fitted("pca", PROTONETS, partitions=2, steps=100, jitter={"shift": 0.12})


@pytest.fixture(scope="module")
def adapting() -> FewShotClassifier:
    """MAML on clusters of pixels."""
    return fitted("raw", MAML, partitions=1, steps=1, jitter=False)


@pytest.fixture(params=["trained", "adapting", "pixels"])
def model(request: pytest.FixtureRequest) -> FewShotClassifier:
    """A copy, to be adapted."""
    return pickle.loads(pickle.dumps(request.getfixturevalue(request.param)))  # noqa: S301


class Tables(FewShotClassifier):
    """Takes the tables of scikit-learn's checks for images of one row, squeezed into 0 to 1."""

    def fit(self, X: Any, y: Any = None) -> FewShotClassifier:
        return super().fit(_of_one_row(X), y)

    def predict_proba(self, X: Any) -> np.ndarray:
        return super().predict_proba(_of_one_row(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        return tags


def _of_one_row(X: Any) -> Any:
    rows = np.asarray(X)
    if not np.iscomplexobj(rows):
        try:
            rows = rows.astype(float)
        except (TypeError, ValueError):
            return X
        rows = np.where(np.isfinite(rows), 0.5 + np.arctan(rows) / np.pi, rows)
    return rows[:, None] if rows.ndim == 2 else rows


UNFIT = {
    "check_classifiers_classes": "-1 is a class in one of its problems, and says here that an image has no label",
    "check_n_features_in": "images have rows, columns and channels, and no number of features",
    "check_n_features_in_after_fitting": "as for check_n_features_in",
    "check_estimators_empty_data_messages": "it is told of the shape, and not of features",
}
"""Checks that do not apply, each with the reason; all others do, on images of one row."""


@parametrize_with_checks([Tables(*PIXELS)], expected_failed_checks=lambda _: UNFIT)
def test_scikit_learn_s_own_checks(estimator: Tables, check: Any) -> None:
    check(estimator)


def test_classes_that_it_has_never_seen_are_told_apart_better_than_by_pixels_or_without_learning(
    trained: FewShotClassifier, pixels: FewShotClassifier
) -> None:
    one = np.arange(100) % 20 == 0
    scores = [model.adapt(UNSEEN[one], CLASSES[one]).score(UNSEEN[REST], CLASSES[REST]) for model in (trained, pixels)]
    assert scores[0] > max(0.7, scores[1] + 0.05)


def test_neighbours_are_classes_and_what_was_learned_parts_images_anew(tmp_path: Path) -> None:
    method = {**PROTONETS, "turned": True}
    model = fitted(
        "raw", method, clusters="neighbours", rounds=2, partitions=2, steps=20, jitter=False, folder=tmp_path
    )
    learned = json.loads(model.learner_.recipe.method)
    assert learned["tasks"] == {"way": 40, "shots": 1, "queries": 2}
    assert (learned["rounds"], learned["turned"]) == (2, True)
    assert list(tmp_path.glob("protonets-*/round-2-after-20/partitions.safetensors"))
    assert 0 <= model.adapt(UNSEEN[FEW], CLASSES[FEW]).score(UNSEEN[REST], CLASSES[REST]) <= 1
    model.save(tmp_path / "saved.safetensors")
    again = FewShotClassifier.load(tmp_path / "saved.safetensors")
    assert (again.clusters, again.rounds) == ("neighbours", 2)
    np.testing.assert_array_equal(again.predict(UNSEEN), model.predict(UNSEEN))


def test_images_that_have_a_label_are_adapted_to_after_learning_from_all(pixels: FewShotClassifier) -> None:
    images = drawn(20, 12, seed=1)[0]
    labels = np.full(len(images), UNLABELLED, object)
    labels[[0, 1, 30, 31]] = ["b", "b", "a", "a"]
    both = clone(pixels).fit(images, labels)
    assert both.classes_.tolist() == ["a", "b"]
    apart = clone(pixels).fit(images).adapt(images[[0, 1, 30, 31]], ["b", "b", "a", "a"])
    np.testing.assert_array_equal(both.predict_proba(UNSEEN), apart.predict_proba(UNSEEN))
    # In an array of texts the mark is a text, and without any label there is nothing to predict.
    assert clone(pixels).fit(images[:3], np.array(["b", -1, "a"])).classes_.tolist() == ["a", "b"]
    with pytest.raises(NotFittedError, match="has seen no labelled images yet; call 'adapt'"):
        both.fit(images, np.full(len(images), UNLABELLED)).predict(images)


def test_the_order_of_labelled_images_and_the_company_of_others_change_nothing(model: FewShotClassifier) -> None:
    some = np.flatnonzero(FEW)[:-1]  # one class has fewer
    found = model.adapt(UNSEEN[some], CLASSES[some]).predict_proba(UNSEEN)
    assert found.shape == (100, 5)
    np.testing.assert_allclose(found.sum(1), 1)
    mixed = np.random.default_rng(0).permutation(some)
    again = model.adapt(UNSEEN[mixed], CLASSES[mixed])
    np.testing.assert_allclose(again.predict_proba(UNSEEN), found, atol=1e-4)
    for part in (slice(0, 1), slice(7, 9), slice(70, None)):
        np.testing.assert_allclose(again.predict_proba(UNSEEN[part]), found[part], atol=1e-4)
    many = np.tile(UNSEEN, (3, 1, 1))
    np.testing.assert_allclose(again.predict_proba(many), np.tile(found, (3, 1)), atol=1e-4)


def test_maml_adapts_anew_to_all_images_that_come(adapting: FewShotClassifier) -> None:
    expected = adapting.adapt(UNSEEN[FEW], CLASSES[FEW]).predict_proba(UNSEEN)
    grown = adapting.adapt(UNSEEN[FEW][:4], CLASSES[FEW][:4]).partial_adapt(UNSEEN[FEW][4:], CLASSES[FEW][4:])
    np.testing.assert_allclose(grown.predict_proba(UNSEEN), expected, atol=1e-5)


@pytest.mark.parametrize("model", ["trained", "pixels"], indirect=True)
def test_classes_and_examples_come_and_go_as_if_they_had_been_there_at_once(model: FewShotClassifier) -> None:
    few, names = UNSEEN[FEW], np.array(["e", "a", "d", "b", "c"])[CLASSES[FEW]]
    expected = model.adapt(few, names).predict_proba(UNSEEN)
    grown = model.adapt(few[:3], names[:3]).partial_adapt(few[3:4], names[3:4]).partial_adapt(few[4:], names[4:])
    assert grown.classes_.tolist() == ["a", "b", "c", "d", "e"]
    np.testing.assert_allclose(grown.predict_proba(UNSEEN), expected, atol=1e-5)
    fewer = grown.forget("d").forget("a").predict_proba(UNSEEN)
    assert grown.classes_.tolist() == ["b", "c", "e"]
    kept = ~np.isin(names, ["a", "d"])
    np.testing.assert_allclose(fewer, model.adapt(few[kept], names[kept]).predict_proba(UNSEEN), atol=1e-5)
    assert refused(grown.forget, "z", error=ValueError) == "label == 'z': no class; there is: b, c, e."
    assert refused(grown.forget, 3, error=ValueError) == "label == 3: no class; there is: b, c, e."
    alone = model.adapt(few[:2], names[:2])
    assert set(alone.predict(UNSEEN)) == {"e"}
    assert refused(alone.forget, "e", error=ValueError) == "label == 'e': the only class; there is: e."


@pytest.mark.parametrize("names", [[3, 1], [True, False], ["two words", "é"], [2.0, 7.0]])
def test_labels_are_of_any_type_and_stay_what_they_are(pixels: FewShotClassifier, names: list[Any], tmp_path: Path):
    labels = np.array(names)[(CLASSES[FEW] > 2).astype(int)]
    model = clone(pixels).fit(UNSEEN).adapt(UNSEEN[FEW], labels.tolist())
    assert model.classes_.dtype == labels.dtype
    assert model.classes_.tolist() == sorted(names)
    np.testing.assert_array_equal(model.predict(UNSEEN[FEW]), labels)
    model.save(tmp_path / "mine.safetensors")
    loaded = FewShotClassifier.load(tmp_path / "mine.safetensors")
    assert loaded.classes_.dtype == labels.dtype
    np.testing.assert_array_equal(loaded.predict(UNSEEN[FEW]), labels)


def test_whole_numbers_that_a_float_would_merge_are_classes_of_their_own(pixels: FewShotClassifier) -> None:
    model = clone(pixels).fit(UNSEEN).adapt(UNSEEN[:3], [2**63 + 1, 42, 2**63 + 2])
    assert model.classes_.tolist() == [42, 2**63 + 1, 2**63 + 2]
    assert model.partial_adapt(UNSEEN[3:4], [7]).classes_.tolist() == [7, 42, 2**63 + 1, 2**63 + 2]
    small = model.forget(2**63 + 1).forget(2**63 + 2).partial_adapt(UNSEEN[4:5], [8])
    assert (small.classes_.tolist(), small.classes_.dtype) == ([7, 8, 42], np.int64)
    assert model.adapt(UNSEEN[:2], [np.uint8(3), np.uint8(4)]).classes_.dtype == np.int64


def test_hundreds_of_classes(trained: FewShotClassifier, pixels: FewShotClassifier) -> None:
    images, classes = drawn(400, 1, seed=3)
    for model in (trained, pixels):
        assert model.adapt(images, classes).score(images, classes) == 1


def test_prototypes_are_those_of_the_workflow_s_episodes(trained: FewShotClassifier) -> None:
    support, query = (UNSEEN[chosen].reshape(5, -1, SIDE**2).astype(np.float32) for chosen in (FEW, REST))
    expected = trained.learner_.learner.predict(support[None], query[None])[0]
    np.testing.assert_array_equal(trained.adapt(UNSEEN[FEW], CLASSES[FEW]).predict(UNSEEN[REST]), expected.ravel())


def test_maml_adapts_as_in_the_workflow_s_episodes_and_its_classes_count_the_same(adapting: FewShotClassifier) -> None:
    learner = jax.tree.map(jnp.asarray, adapting.learner_.learner)
    support = jnp.asarray(UNSEEN[FEW].reshape(5, 2, -1), jnp.float32)
    expected = eqx.filter_jit(learner.adapted)(support, learner.inner.test_steps)
    adapted, statistics = jax.tree.map(jnp.asarray, adapting.adapt(UNSEEN[FEW], CLASSES[FEW])._adapted)
    for found, known in zip(jax.tree.leaves(adapted), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, known, rtol=1e-3, atol=1e-4)
    # Labelled images are normalised as they were when it learned from them.
    flat = jnp.asarray(UNSEEN[FEW].reshape(10, -1), jnp.float32)
    features = jax.jit(lambda known: adapted.network.features(flat, known)[0])
    np.testing.assert_allclose(features(None), features(statistics), 1e-4)
    unequal = np.array([0, 0, 0, 1, 2, 2])
    shares = labelling._shares(jnp.asarray(unequal), 2)
    np.testing.assert_allclose(np.bincount(unequal, shares), [1, 1, 0], rtol=1e-6)
    with pytest.raises(ValueError, match=r"^labels: 7 classes, but this MAML tells at most 6 apart, as many as its"):
        adapting.adapt(UNSEEN[:7], np.arange(7))
    # Before anything is trained.
    unlimited = FewShotClassifier("raw", MAML, clusters=6, steps=10**6)
    with pytest.raises(ValueError, match=r"^labels: 7 classes, but this MAML tells at most 6 apart"):
        unlimited.fit(UNSEEN[:50], [*range(7), *[-1] * 43])
    assert adapting.classes_.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("name", "more"), [("trained", 90), ("adapting", 1), ("pixels", 90)])
def test_further_images_compile_no_other_program(name: str, more: int, request: pytest.FixtureRequest, caplog) -> None:
    """MAML has one for each number of classes and power of two of their images, others none."""
    model = request.getfixturevalue(name).adapt(UNSEEN[FEW], CLASSES[FEW])
    model.predict(UNSEEN)
    classes = np.append(CLASSES[FEW], CLASSES[REST] + (5 if more > 1 else 0))[: 10 + more]
    with jax.log_compiles(), caplog.at_level("WARNING", "jax"):
        model.adapt(np.concatenate([UNSEEN[FEW], UNSEEN[REST]])[: 10 + more], classes).predict(UNSEEN)
    assert not [message for message in caplog.messages if message.startswith("Compiling")]


def test_nearest_neighbours_embed_later_images_as_the_training_did(tmp_path: Path) -> None:
    images = drawn(6, 4, seed=1)[0]
    model = FewShotClassifier(CONTRASTIVE, "nearest-neighbours", steps=3, folder=tmp_path, jitter={"shift": 0.1})
    model.fit(images)
    spec = model._sections(0)[0]
    (folder,) = tmp_path.iterdir()
    order = np.random.default_rng(0).permutation(len(images))
    flat = images.reshape(len(images), -1).astype(np.float32)[order]
    data = Unlabelled(flat, np.ones(len(images), bool), (SIDE, SIDE, 1))
    record = {"config": canonical_json(spec)}
    # It is found finished, and only encodes.
    expected = contrastive.embed(data, spec, seeds=[0], folder=Folder(folder, record)).features[0, -1]
    found = labelling.features(model.learner_, flat)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(model.learner_.variance, found.var(0).sum(), rtol=1e-4)
    model.adapt(UNSEEN[FEW], CLASSES[FEW]).save(tmp_path / "mine.safetensors")
    loaded = FewShotClassifier.load(tmp_path / "mine.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(UNSEEN), model.predict_proba(UNSEEN))


def test_blurred_pixels_need_no_training_either(pixels: FewShotClassifier, tmp_path: Path) -> None:
    model = FewShotClassifier({"kind": "blurred", "deviation": 1.5}, "nearest-neighbours").fit(UNSEEN)
    blurred = gaussian_filter(UNSEEN, 1.5, axes=(1, 2)).reshape(100, -1)
    np.testing.assert_allclose(labelling.features(model.learner_, UNSEEN.reshape(100, -1)), blurred, atol=1e-6)
    one = np.arange(100) % 20 == 0
    scores = [each.adapt(UNSEEN[one], CLASSES[one]).score(UNSEEN[REST], CLASSES[REST]) for each in (model, pixels)]
    assert scores[0] > scores[1]
    model.save(tmp_path / "mine.safetensors")
    found = FewShotClassifier.load(tmp_path / "mine.safetensors").predict_proba(UNSEEN)
    np.testing.assert_array_equal(found, model.predict_proba(UNSEEN))


def test_what_is_saved_is_the_same_in_another_process_and_in_a_pickle(model: FewShotClassifier, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    expected = model.adapt(UNSEEN[FEW], CLASSES[FEW]).predict_proba(UNSEEN)
    model.save(file)
    np.testing.assert_array_equal(FewShotClassifier.load(file).predict_proba(UNSEEN), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(UNSEEN), expected)  # noqa: S301
    assert FewShotClassifier.load(file).get_params() == model.get_params()


def test_another_process_predicts_the_same_without_what_the_extra_brings(trained: FewShotClassifier, tmp_path: Path):
    trained.adapt(UNSEEN[FEW], CLASSES[FEW]).save(tmp_path / "mine.safetensors")
    np.save(tmp_path / "images.npy", UNSEEN)
    program = """
import sys
for name in ("optax", "tqdm", "zarr", "PIL"):
    sys.modules[name] = None
import numpy as np
from metaplastic import FewShotClassifier
model = FewShotClassifier.load("mine.safetensors")
np.save("found.npy", model.predict_proba(np.load("images.npy")))
try:
    model.fit(np.load("images.npy"))
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    said = "FewShotClassifier.fit: zarr is not installed; run: pip install 'metaplastic[workflow]'\n"
    assert (done.stdout, done.returncode) == (said, 0), done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), trained.predict_proba(UNSEEN), atol=1e-4)


def test_a_learner_that_has_seen_no_labels_is_saved_too(trained: FewShotClassifier, tmp_path: Path) -> None:
    model = pickle.loads(pickle.dumps(trained))  # noqa: S301
    model._reset(model.learner_)
    model.save(tmp_path / "mine.safetensors")
    loaded = FewShotClassifier.load(tmp_path / "mine.safetensors")
    with pytest.raises(NotFittedError):
        loaded.predict(UNSEEN)
    expected = trained.adapt(UNSEEN[FEW], CLASSES[FEW]).predict_proba(UNSEEN)
    np.testing.assert_array_equal(loaded.adapt(UNSEEN[FEW], CLASSES[FEW]).predict_proba(UNSEEN), expected)


def test_the_seed_decides_and_a_fit_that_has_ended_is_found_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    images = drawn(4, 6, seed=1)[0]

    def found(seed: Any, **params: Any) -> np.ndarray:
        options = {"clusters": 4, "partitions": 1, "steps": 1, "random_state": seed, "jitter": False}
        model = FewShotClassifier("raw", SMALLEST, **options, **params).fit(images)
        return model.adapt(UNSEEN[FEW], CLASSES[FEW]).predict_proba(UNSEEN)

    first = found(0)
    assert not any(capsys.readouterr())
    np.testing.assert_array_equal(found(np.int64(0), folder=tmp_path, verbose=True), first)
    printed = capsys.readouterr()
    assert [line for line in printed.out.splitlines() if " ... " not in line] == [
        "[FewShotClassifier] embedding 24 images: raw",
        "[FewShotClassifier] 1 partitions: k-means",
        "[FewShotClassifier] learning from tasks of 2 classes: protonets",
    ]
    assert "1 of 1 steps" in printed.err
    assert "left" in printed.err
    (kept,) = tmp_path.iterdir()
    before = sorted((path, path.stat().st_mtime_ns) for path in kept.rglob("*.safetensors"))
    np.testing.assert_array_equal(found(0, folder=tmp_path), first)
    assert sorted((path, path.stat().st_mtime_ns) for path in kept.rglob("*.safetensors")) == before
    assert not np.allclose(found(1), first, atol=1e-3)


def test_the_seed_is_the_embedding_s_too_and_images_of_another_shape_are_another_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def embed(data: Unlabelled, spec: Any, *, seeds: list[int], folder: Folder) -> None:
        seen.append((seeds, folder.path))
        raise InputError("stopped")

    monkeypatch.setattr(contrastive, "embed", embed)
    model = FewShotClassifier(CONTRASTIVE, "nearest-neighbours", random_state=7, folder=tmp_path)
    for images in (UNSEEN, UNSEEN.reshape(25, 2 * SIDE, 2 * SIDE)):
        assert refused(model.fit, images) == "stopped"
    assert [seeds for seeds, _ in seen] == [[7], [7]]
    assert seen[0][1] != seen[1][1]


def test_jitter_is_that_of_tasks_and_where_bounds_are_given_of_views_too() -> None:
    def jitters(jitter: Any) -> list[Any]:
        embedding, method = FewShotClassifier(CONTRASTIVE, "protonets", jitter=jitter)._sections(0)
        return [embedding.jitter, method.jitter]

    views = FewShotClassifier(CONTRASTIVE)._sections(0)[0].jitter
    assert views.rotation > 0
    assert jitters(True) == [views, FewShotClassifier()._sections(0)[1].jitter]
    assert jitters(True)[1].rotation > 0
    assert jitters(False) == [views, None]
    given = jitters({"shift": 0.1})
    assert given[0] == given[1]
    assert (given[0].shift, given[0].rotation, given[0].scale, given[0].shear) == (0.1, 0, 0, 0)


def test_steps_clusters_and_ways_are_as_many_as_are_asked_for_or_can_be(adapting: FewShotClassifier) -> None:
    def steps(number: int) -> tuple[list[int], int]:
        embedding, method = FewShotClassifier("contrastive", steps=number)._sections(0)
        assert (embedding.steps, embedding.every) == (method.steps, method.every)
        return method.steps, method.every

    assert [steps(number) for number in (1, 97, 101, 2000)] == [([1], 1), ([97], 97), ([200], 100), ([2000], 100)]
    assert FewShotClassifier("deep-cluster", steps=30)._sections(0)[0].clustered_every == 150
    # 240 images make 12 clusters, and a task of MAML at most as many ways.
    assert adapting.learner_.most_classes == 6
    assert FewShotClassifier("raw", {"kind": "maml", "filters": 2})._sections(3)[1].seed == 3
    assert (
        FewShotClassifier("raw", {"kind": "maml", "filters": np.int64(2)}, jitter=np.False_)._sections(0)[1].filters
        == 2
    )


def test_in_a_pipeline_and_cloned(pixels: FewShotClassifier) -> None:
    inverted = make_pipeline(FunctionTransformer(lambda images: 1 - images), clone(pixels)).fit(UNSEEN, CLASSES)
    assert inverted.score(UNSEEN, CLASSES) == 1
    assert not hasattr(clone(inverted[-1]), "learner_")


def test_images_come_as_bytes_or_floats_grey_or_in_colour() -> None:
    colour = np.stack([UNSEEN, UNSEEN[:, ::-1], 1 - UNSEEN], 3)
    for images in (UNSEEN, UNSEEN[..., None], colour, UNSEEN.astype(np.float32), UNSEEN > 0.5):
        model = FewShotClassifier(*PIXELS).fit(images).adapt(images[FEW], CLASSES[FEW])
        assert model.image_shape_ == (SIDE, SIDE, 3 if images is colour else 1)
        assert model.score(images[FEW], CLASSES[FEW]) == 1
    # As resized images are, a little beyond 0 and 1.
    np.testing.assert_array_equal(model.predict_proba(1.000001 * (UNSEEN > 0.5)), model.predict_proba(UNSEEN > 0.5))
    with pytest.warns(UserWarning, match=r"^X holds uint8 of at most 1, which is nearly black"):
        model.predict((UNSEEN > 0.5).astype(np.uint8))
    of_bytes = np.round(255 * UNSEEN).astype(np.uint8)
    expected = FewShotClassifier(*PIXELS).fit(of_bytes / 255).adapt(of_bytes[FEW] / 255, CLASSES[FEW])
    found = FewShotClassifier(*PIXELS).fit(of_bytes).adapt(of_bytes[FEW], CLASSES[FEW])
    np.testing.assert_allclose(found.predict_proba(of_bytes), expected.predict_proba(of_bytes / 255), atol=1e-5)


NAN = UNSEEN.copy()
NAN[3, 2, 1] = np.nan
SIZE = "16 x 16 pixels and 1 channel"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            UNSEEN[0],
            "X has the shape (16, 16). Reshape your data to images [image, row, column] or [image, row, column, ch",
        ),
        (UNSEEN[0, 0], "X has the shape (16,). Reshape your data"),
        (np.zeros((2, 3, 4, 5, 6)), "X has the shape (2, 3, 4, 5, 6). Reshape your data"),
        (np.zeros((2, 0, 16)), "X has the shape (2, 0, 16). Reshape your data"),
        (UNSEEN[:0], "Found array with 0 sample(s)"),
        (np.zeros((2, 3, 16, 16)), "X has the shape (2, 3, 16, 16); give the channels last: X.transpose(0, 2, 3, 1)."),
        ([UNSEEN[0], UNSEEN[1, 1:]], "X has images of the shapes (16, 16) and (15, 16); bring all to one size."),
        (NAN, "Input X contains NaN."),
        (UNSEEN * 16, "X holds pixels of 0 to 16; give floats in 0 to 1, or uint8."),
        (UNSEEN - 0.5, "X holds pixels of -0.5 to 0.5; give floats in 0 to 1, or uint8."),
        (UNSEEN.astype(int), "X holds int64; give uint8, or floats in 0 to 1."),
        (UNSEEN[:, 1:], f"X has images of 15 x 16 pixels and 1 channel; this learner takes those of {SIZE}."),
        (np.stack([UNSEEN] * 3, 3), "X has images of 16 x 16 pixels and 3 channels; this learner takes those of "),
    ],
)
def test_images_that_are_refused(pixels: FewShotClassifier, images: Any, message: str) -> None:
    model = pixels.adapt(UNSEEN[FEW], CLASSES[FEW])
    calls: list[Callable[[], Any]] = [lambda: model.predict(images), lambda: model.adapt(images, [0] * len(images))]
    if "this learner" not in message:
        calls.append(lambda: clone(model).fit(images))
    for call in calls:
        assert refused(call, error=ValueError).startswith(message)
        assert model.score(UNSEEN[FEW], CLASSES[FEW]) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], "labels: 2 for 3 images; give one for each."),
        ([0, 1, -1], "labels: -1 says that an image has none; leave such images out."),
        ([0, 1, None], "labels: None among them; give texts or numbers, and to `fit` -1 for what has no label."),
        (
            ["a", "b", date(2026, 1, 2)],
            "labels: datetime.date(2026, 1, 2) among them; give texts or numbers, and to `fit` -1 for what has no",
        ),
        ([0.0, 1.0, np.nan], "Input y contains NaN."),
        ([2**64, 1, 2], "labels: whole numbers of 1 to 18446744073709551616 do not fit in 64 bits; give texts."),
        ([2**63, -5, 2], "labels: whole numbers of -5 to 9223372036854775808 do not fit in 64 bits; give texts."),
        ([0.5, 1.2, 3.1], "Unknown label type: continuous, such as 0.5; give texts or whole numbers."),
        (np.array([0, 1, "a"], object), "labels: texts and numbers together; give either."),
        ([[0, 1], [1, 0], [1, 1]], "y should be a 1d array, got an array of shape (3, 2) instead."),
    ],
)
def test_labels_that_are_refused(pixels: FewShotClassifier, labels: Any, message: str) -> None:
    model = pixels.adapt(UNSEEN[FEW], CLASSES[FEW])
    for call in (model.adapt, model.partial_adapt):
        assert refused(call, UNSEEN[:3], labels, error=ValueError).startswith(message)
    assert model.score(UNSEEN[FEW], CLASSES[FEW]) == 1
    with pytest.raises(ValueError, match=r"^labels: texts and numbers together; give either.$"):
        model.partial_adapt(UNSEEN[:1], ["text"])


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"method": 3}, TypeError, "method == 3, must be a name or a mapping with `kind`."),
        ({"method": {"filters": 3}}, ValueError, "method == None, must be one of protonets"),
        ({"embedding": "simclr"}, ValueError, "embedding == 'simclr', must be one of raw, blurred, zca, pca"),
        (
            {"method": {"kind": "protonets", "halved": {100}}},
            TypeError,
            "method holds {100}; give numbers, texts, lists",
        ),
        ({"jitter": {"turn": 3}}, ValueError, "embedding: contrastive.jitter.turn: Extra inputs are not permitted."),
        ({"steps": True}, TypeError, "steps == True, must be a number."),
        ({"clusters": "many"}, TypeError, "clusters must be an instance of int, not str."),
        ({"rounds": 0}, ValueError, "rounds == 0, must be >= 1."),
        ({"rounds": 2, "method": "maml"}, ValueError, "rounds == 2, must be 1 for 'maml'."),
        ({"rounds": 2, "method": "nearest-neighbours"}, ValueError, "rounds == 2, must be 1 for 'nearest-neighbours'."),
        ({"partitions": 2.5}, TypeError, "partitions must be an instance of int, not float."),
        ({"random_state": -1}, ValueError, "Seed must be between 0 and 2**32 - 1"),
        ({"verbose": "yes"}, TypeError, "verbose == 'yes', must be True or False."),
        ({"folder": 3}, TypeError, "folder == 3, must be a path or None."),
    ],
)
def test_parameters_that_are_refused(params: dict[str, Any], error: type[Exception], message: str) -> None:
    assert refused(FewShotClassifier(**params).fit, UNSEEN, error=error).startswith(message)


@pytest.mark.parametrize(
    ("images", "params", "message"),
    [
        (UNSEEN[:, 1:], {"jitter": False, "method": "maml"}, "contrastive: images of 15x16 are not square; choose"),
        (
            UNSEEN[:, 1:],
            {},
            "X has images of 15 x 16 pixels and 1 channel; only square ones are jittered, give jitter=False, ",
        ),
        (UNSEEN[:8], {}, "X has 8 images, which are too few: tasks of two classes take 12."),
        (UNSEEN[:50], {"clusters": 60}, "clusters: 60 are more than the 50 training examples; give fewer"),
        (
            np.eye(20)[:, :1, None].repeat(16, 1).repeat(16, 2),
            {"embedding": "raw"},
            "clusters: a partition has 1 large enough for the 6 images that a task takes of each class; 2 are needed;",
        ),
        (UNSEEN, {"embedding": "deep-cluster"}, "deep-cluster: clusters: 500 are more than the 100 training examples"),
    ],
)
def test_images_that_nothing_can_be_learned_from(images: Any, params: dict[str, Any], message: str) -> None:
    model = FewShotClassifier(**params, partitions=1)
    assert refused(model.fit, images, error=(InputError, ValueError)).startswith(message)


def test_more_labelled_classes_than_maml_will_know_are_refused_before_it_learns() -> None:
    # Of 100 images there are five clusters, so tasks have at most five classes.
    message = refused(FewShotClassifier("raw", "maml").fit, UNSEEN, np.repeat(np.arange(10), 10), error=ValueError)
    assert message.startswith("labels: 10 classes, but this MAML tells at most 5 apart")
    # Each class of a task takes six images, or three neighbours.
    for clusters, queries, most in ((20, 5, 10), ("neighbours", 2, 20)):
        message = refused(
            FewShotClassifier("raw", {"kind": "maml", "tasks": {"way": 40, "queries": queries}}, clusters=clusters).fit,
            UNSEEN[:60],
            np.arange(60) % 25,
            error=ValueError,
        )
        assert message.startswith(f"labels: 25 classes, but this MAML tells at most {most} apart")


def test_before_fit_there_is_nothing(tmp_path: Path) -> None:
    model = FewShotClassifier(*PIXELS)
    for call in (model.adapt, model.partial_adapt):
        with pytest.raises(NotFittedError):
            call(UNSEEN, CLASSES)
    for call in (model.predict, model.predict_proba, model.forget, lambda _: model.save(tmp_path / "no.safetensors")):
        with pytest.raises(NotFittedError):
            call(UNSEEN)


def test_a_learner_of_the_workflow_is_taken_by_its_snapshot(tmp_path: Path) -> None:
    spec = ProtoNets(kind="protonets", filters=3)
    learner = protonets.initial(spec, jax.random.key(5), (SIDE, SIDE, 1))
    file = tmp_path / "step-000100.safetensors"
    save_state(learner, file, {"config": canonical_json(spec), "code": "c", "data": "d"})
    model = FewShotClassifier.load(file, image=(SIDE, SIDE, 1)).adapt(UNSEEN[FEW], CLASSES[FEW])
    support, query = (UNSEEN[chosen].reshape(5, -1, SIDE**2).astype(np.float32) for chosen in (FEW, REST))
    np.testing.assert_array_equal(model.predict(UNSEEN[REST]), learner.predict(support[None], query[None])[0].ravel())
    with pytest.raises(InputError, match=r"safetensors: a snapshot of the workflow, which has no size of images; give"):
        FewShotClassifier.load(file)
    assert "not a readable few-shot learner" in refused(FewShotClassifier.load, file, image=(8, 8, 1))
    with pytest.raises(InputError, match=r"learner.network.kernels.0 is|network.kernels.0 is"):
        FewShotClassifier.load(file, image=(SIDE, SIDE, 3))
    model.save(tmp_path / "mine.safetensors")
    message = refused(FewShotClassifier.load, tmp_path / "mine.safetensors", image=(28, 28, 1))
    assert "of images of 16 x 16 pixels and 1 channel, not 28 x 28 pixels and 1 channel" in message


def test_packaged_learners_are_found_by_name(
    trained: FewShotClassifier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(labelling_files, "FOLDERS", (tmp_path / "wheel", tmp_path / "checkout"))
    with pytest.raises(InputError, match=r"^no packaged few-shot learner 'glyphs'; none comes with this version; fit"):
        FewShotClassifier.from_pretrained("glyphs")
    (tmp_path / "checkout/weights").mkdir(parents=True)
    trained.adapt(UNSEEN[FEW], CLASSES[FEW]).save(tmp_path / "checkout/weights/tiny.safetensors")
    found = FewShotClassifier.from_pretrained("tiny").predict_proba(UNSEEN)
    np.testing.assert_array_equal(found, trained.predict_proba(UNSEEN))
    with pytest.raises(InputError, match=r"^no packaged few-shot learner 'glyphs'; take one of: tiny$"):
        FewShotClassifier.from_pretrained("glyphs")


def test_the_packaged_learner_tells_strokes_apart_that_lie_elsewhere() -> None:
    rng = np.random.default_rng(0)
    kinds = np.arange(24) % 3
    images = np.zeros((24, 28, 28), np.float32)
    for image, kind, row, column in zip(images, kinds, *rng.integers(11, 17, (2, 24)), strict=True):
        if kind != 1:
            image[row - 1 : row + 1, 4:24] = 1
        if kind != 0:
            image[4:24, column - 1 : column + 1] = 1
    learner = FewShotClassifier.from_pretrained("glyphs").adapt(images[:9], kinds[:9])
    assert learner.score(images[9:], kinds[9:]) > 0.9


def _changed(file: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    """Write a file again with other content and the checksum of that."""
    with safe_open(file, framework="numpy") as opened:
        header = dict(opened.metadata())
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    del header["sha256"]
    parts = {key: json.loads(text) for key, text in header.items() if key != "format"}
    change(parts, arrays)
    written = {key: json.dumps(value) for key, value in parts.items()}
    write_safetensors(file, {name: np.ascontiguousarray(array) for name, array in arrays.items()}, header | written)


def _method(parts: dict[str, Any], **keys: Any) -> None:
    parts["recipe"][0] = json.dumps(json.loads(parts["recipe"][0]) | keys)


KERNEL = "model.learner.network.kernels.0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda parts, arrays: _method(parts, filters=10**9),
            "features is float32[10, 8], its learner has float32[10, 10",
        ),
        (lambda parts, arrays: _method(parts, kind="linear"), "method: linear.every: Extra inputs are"),
        (lambda parts, arrays: _method(parts, kind="mlp", filters=None), "method: mlp.every: Extra inputs are"),
        (lambda parts, arrays: parts.update(recipe=["", "", [SIDE, SIDE, 1]]), "method: section: Invalid JSON"),
        (lambda parts, arrays: parts["recipe"].__setitem__(1, "x" * 10**4), "a recipe of 1"),
        (lambda parts, arrays: parts["recipe"].__setitem__(2, [SIDE, SIDE, -1]), "images of [16, 16, -1]"),
        (lambda parts, arrays: parts["recipe"].__setitem__(2, [2**31 - 1] * 3), "cannot reshape array of shape"),
        (lambda parts, arrays: parts["recipe"].__setitem__(2, [48, 48, 1]), "features is "),
        (lambda parts, arrays: arrays.pop(KERNEL), f"{KERNEL} is missing"),
        (lambda parts, arrays: arrays.update(more=np.zeros(3)), "more is "),
        (lambda parts, arrays: arrays[KERNEL].__setitem__(0, np.inf), f"{KERNEL} holds numbers that are not finite"),
        (
            lambda parts, arrays: arrays.update(classes=np.zeros(10, np.int32)),
            "a label is there twice, or a class has no",
        ),
        (lambda parts, arrays: arrays.update(classes=arrays["classes"] + np.int32(1)), "a label is there twice, or a"),
        (lambda parts, arrays: arrays.update(classes=np.zeros((10, 1), np.int32)), "too many values|not enough|cannot"),
        (lambda parts, arrays: parts.update(labels=[4, 3, 2, 1, 0]), "its labels are not sorted texts or numbers"),
        (lambda parts, arrays: parts.update(labels=[0, 1, 2, 3, "4"]), "its labels are not sorted texts or numbers"),
        (lambda parts, arrays: parts.update(labels=[0, 1, 2, 3, float("nan")]), "its labels are not"),
        (lambda parts, arrays: parts.update(labels=[[0], [1], [2], [3], [4]]), "its labels are not sorted texts or"),
        (lambda parts, arrays: parts.update(labels={"a": 1}), "its labels are not sorted texts or"),
        (lambda parts, arrays: parts.update(labels=[]), "classes is "),
        (lambda parts, arrays: parts.update(parameters={"steps": 0}), "steps == 0, must be >= 1"),
        (lambda parts, arrays: parts.update(parameters={"shell": "rm"}), "unexpected keyword argument 'shell'"),
    ],
)
def test_a_saved_file_of_a_stranger_is_refused_in_one_line(
    trained: FewShotClassifier, change: Any, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.safetensors"
    trained.adapt(UNSEEN[FEW], CLASSES[FEW]).save(file)
    _changed(file, change)
    name, reason = refused(FewShotClassifier.load, file).split(": not a readable few-shot learner (", 1)
    assert name.endswith("theirs.safetensors")
    assert any(each in reason for each in message.split("|")), reason


def test_a_saved_file_that_has_changed_or_is_none_is_refused(trained: FewShotClassifier, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    trained.adapt(UNSEEN[FEW], CLASSES[FEW]).save(file)
    content = file.read_bytes()
    for changed in (content[:-1] + bytes([content[-1] ^ 1]), content[:-9], b"", b"PK" + content, b"\xff" * 64):
        file.write_bytes(changed)
        assert "mine.safetensors: not a readable few-shot learner" in refused(FewShotClassifier.load, file)
    with pytest.raises(InputError, match=r"none.safetensors: missing; save a fitted FewShotClassifier to it first"):
        FewShotClassifier.load(tmp_path / "none.safetensors")
    shutil.copy(pretrained_file("barb"), file)
    assert "not a readable few-shot learner (its header has no format" in refused(FewShotClassifier.load, file)
    # No network may be asked to adapt for ever.
    recipe = Recipe(canonical_json(parse_spec(Learner, json.dumps(MAML))), "", (SIDE, SIDE, 1))
    labelling_files.write(file, untrained(recipe), None, {})
    _changed(file, lambda parts, arrays: parts.update(parameters={"folder": "theirs"}))
    assert FewShotClassifier.load(file).folder is None
    _changed(file, lambda parts, arrays: _method(parts, test_inner_steps=10**9))
    assert "test_inner_steps: more than 10000" in refused(FewShotClassifier.load, file)
    assert refused(trained.save, "/proc/mine.safetensors").startswith("/proc/mine.safetensors: cannot be saved: ")
