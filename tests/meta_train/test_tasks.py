from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from metaplastic.datasets.schema import make_dataset
from metaplastic.datasets.sources.letters import ABOUT
from metaplastic.meta_train.data import image_pool, task_sources
from metaplastic.meta_train.run import group, task_setting
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.meta_train.tasks import strokes, tables
from metaplastic.meta_train.tasks.appearance import jittered, redrawn, toned
from metaplastic.meta_train.tasks.images import Images
from metaplastic.meta_train.tasks.mixture import every_class, regression_targets, shares, show
from metaplastic.meta_train.tasks.source import Jitter, Setting, Source, Variety
from metaplastic.meta_train.tasks.spec import Tasks
from metaplastic.meta_train.tasks.words import poisson
from metaplastic.meta_train.window import Totals, sample_window, staggered_tasks
from refusals import refused

STILL = {"rotation": 0.0, "scale": 0.0, "shift": 0.0, "shear": 0.0}
SOURCES = {
    "letters": {"kind": "images", "dataset": "letters", "weight": 2},
    "projections": {"kind": "projections", "dataset": "letters"},
    "strokes": {"kind": "strokes", "strokes": 3, "wobble": 0.05},
    "gaussians": {"kind": "gaussians"},
    "words": {"kind": "words"},
}
EVERY_SOURCE = SOURCES | {
    "documents": {"kind": "words", "length": 40, "lengths": 0.5, "common": 0.1, "binary": 0.5},
    "tables": {"kind": "tables", "columns": 12, "separation": 3.0},
}


def tasks(**keys: Any) -> Tasks:
    return Tasks.model_validate({"side": 6, "classes": 3, "sources": SOURCES, **keys})


def setting(spec: Tasks) -> Setting:
    return task_setting(spec, spec.side, spec.classes)


def sources_of(spec: Tasks) -> dict[str, Source]:
    return task_sources(spec.sources, spec, {"letters": dataset()})


def dataset(side: int = 12, classes: int = 5, per_class: int = 40) -> xr.Dataset:
    """Classes are bright in places of their own; every fifth image is in the test split."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(classes), per_class)
    places = rng.uniform(20, 235, (classes, side // 2, side // 2)).repeat(2, 1).repeat(2, 2)
    noise = rng.normal(0, 10, (len(label), side, side))
    image = np.clip(places[label] + noise, 0, 255).astype(np.uint8)[..., None]
    names = [str(c) for c in range(classes)]
    return make_dataset(image, label, np.arange(len(label)) % 5 == 0, ABOUT, class_names=names)


def run(spec: Tasks, **keys: Any) -> MetaTrain:
    return MetaTrain.model_validate(
        {
            "rule": {"kind": "compact"},
            "base_models": [{"hidden": [], "features": 4}],
            "tasks": spec.model_dump(),
            "parallel_tasks": 10,
            "batch": 4,
            "labelled": 3,
            "unroll": {"truncation": 2, "shortest": 2, "longest": 4},
            "meta_steps": 1,
            **keys,
        }
    )


def readout_accuracy(x: np.ndarray, y: np.ndarray) -> float:
    """Of a ridge readout that is fitted on every other example."""
    targets = np.eye(y.max() + 1)[y[::2]]
    x = (x - x.mean(0)) / x.std()
    weights = np.linalg.solve(x[::2].T @ x[::2] + np.eye(x.shape[1]), x[::2].T @ targets)
    return float(((x[1::2] @ weights).argmax(1) == y[1::2]).mean())


@pytest.mark.parametrize("name", EVERY_SOURCE)
@pytest.mark.parametrize("varied", [pytest.param(False, marks=pytest.mark.slow), True])
def test_every_source_shows_finite_inputs_whose_classes_can_be_told_apart(name: str, varied: bool):
    everything = dict.fromkeys(Variety._fields, 0.2)
    more = {"variety": everything, "jitter": {"elastic": 0.02, "least": 0.2}} if varied else {}
    spec = tasks(sources=EVERY_SOURCE, **more)
    source = sources_of(spec)[name]
    classes = every_class(60, setting(spec))
    draw = jax.jit(jax.vmap(lambda key, task: show(key, task, source, classes, setting(spec))))
    task = jax.random.split(jax.random.key(0), 8)
    shown = draw(jax.random.split(jax.random.key(1), 8), task)
    assert shown.inputs.shape == (8, 180, 36)
    assert np.isfinite(shown.inputs).all()
    order = np.random.default_rng(0).permutation(180)
    accuracy = [readout_accuracy(np.asarray(x)[order], np.asarray(classes)[order]) for x in shown.inputs]
    assert np.mean(accuracy) > 0.6
    again = draw(jax.random.split(jax.random.key(1), 8), task)
    np.testing.assert_array_equal(again.inputs, shown.inputs)
    other = draw(jax.random.split(jax.random.key(2), 8), task)
    assert (other.inputs != shown.inputs).any((1, 2)).all()


def test_without_jitter_and_variety_a_task_shows_permuted_images_of_its_classes():
    spec = tasks(jitter=STILL)
    pool = Images(
        jax.random.randint(jax.random.key(0), (30, 12, 12), 0, 256).astype(jnp.uint8),
        first=jnp.arange(0, 30, 6),
        count=jnp.full(5, 6),
    )
    small = np.asarray(pool.pixels, np.float64).reshape(30, 6, 2, 6, 2).mean((2, 4)).reshape(30, 36) / 255
    classes, orders = every_class(10, setting(spec)), set()
    for seed in range(5):
        x = np.asarray(show(jax.random.key(9), jax.random.key(seed), pool, classes, setting(spec)).inputs)
        # Sorted, images can be told apart, whatever the order of their pixels.
        distance = np.abs(np.sort(x, 1)[:, None] - np.sort(small, 1)).max(2)
        assert distance.min(1).max() < 1e-5
        found = distance.argmin(1)
        of_class = found.reshape(3, 10) // 6
        assert (of_class == of_class[:, :1]).all()
        assert len(set(of_class[:, 0])) == 3
        order = [int(np.abs(x[:, i, None] - small[found]).max(0).argmin()) for i in range(36)]
        assert sorted(order) == list(range(36))
        orders.add(tuple(order))
    assert len(orders) == 5


def test_a_task_keeps_what_is_its_own_and_tasks_differ():
    spec = tasks(jitter=STILL, variety={"dropped": 0.9, "inverted": 0.5, "gain": 0.5, "offset": 1.0, "scale": 1.0})
    source = sources_of(spec)["letters"]
    classes = every_class(20, setting(spec))
    one, two, three = (
        np.asarray(show(jax.random.key(key), jax.random.key(task), source, classes, setting(spec)).inputs)
        for key, task in ((0, 0), (1, 0), (0, 1))
    )
    dropped = (one == 0).all(0)
    assert 0 < dropped.sum() < 36
    np.testing.assert_array_equal((two == 0).all(0), dropped)
    np.testing.assert_allclose(one.mean(0), two.mean(0), atol=0.25 * one.std())
    assert np.abs(one.mean(0) - three.mean(0)).max() > 0.25 * one.std()


@pytest.mark.parametrize("kind", ["rotation", "scale", "shift", "shear", "elastic"])
def test_each_kind_of_jitter_moves_ink_but_keeps_most_of_it(kind: str):
    image = jnp.zeros((16, 16)).at[4:12, 6:10].set(1.0)
    size = {"rotation": 20.0, "scale": 0.2, "shift": 0.1, "shear": 0.2, "elastic": 0.1}[kind]
    jitter = Jitter(**{**STILL, kind: size})
    shown, coefficients = jittered(jax.random.key(0), jnp.broadcast_to(image, (64, 16, 16)), jitter)
    shown, still = np.asarray(shown), np.asarray(image).reshape(8, 2, 8, 2).mean((1, 3))
    assert shown.std(0).max() > 0.02
    assert np.abs(shown.sum((1, 2)) / still.sum() - 1).mean() < 0.25
    np.testing.assert_allclose(shown.mean(0).sum(), still.sum(), rtol=0.1)
    used = {"rotation": [0], "scale": [1], "shear": [2], "shift": [3, 4], "elastic": []}[kind]
    assert np.flatnonzero(coefficients.std(0)).tolist() == used
    np.testing.assert_allclose(coefficients.std(0)[jnp.array(used, int)], 1, atol=0.2)


def test_coefficients_are_the_jitter_that_was_applied():
    image = jnp.zeros((32, 32)).at[12:20, 12:20].set(1.0)
    images, row = jnp.broadcast_to(image, (50, 32, 32)), np.arange(16) - 7.5

    def centre_and_size(jitter: dict[str, float], share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        spec = Jitter(**{**STILL, **jitter})
        shown, coefficients = map(np.asarray, jittered(jax.random.key(0), images, spec, share=share))
        ink = shown.sum((1, 2))
        centre = np.stack([(shown.sum(2) * row).sum(1), (shown.sum(1) * row).sum(1)], 1) / ink[:, None]
        return centre, ink, coefficients / 3**0.5

    centre, _, coefficients = centre_and_size({"shift": 0.2}, 1.0)
    np.testing.assert_allclose(centre, -0.2 * 16 * coefficients[:, 3:], atol=0.1)
    _, ink, coefficients = centre_and_size({"scale": 0.3}, 1.0)
    np.testing.assert_allclose(ink, 16 * np.exp(2 * 0.3 * coefficients[:, 1]), rtol=0.1)
    # A task that jitters half as much has half the coefficients for it.
    _, _, half = centre_and_size({"scale": 0.3}, 0.5)
    np.testing.assert_allclose(half, coefficients / 2, atol=1e-6)


def test_targets_hold_coefficients_only_where_these_have_a_weight():
    classes, coefficients = jnp.array([0, 2]), jnp.ones((2, 5))
    assert regression_targets(classes, coefficients, setting(tasks())).tolist() == [[1, 0, 0], [0, 0, 1]]
    weighted = regression_targets(classes, coefficients, setting(tasks(coefficient_weight=0.5)))
    assert weighted.tolist() == [[1, 0, 0, *[0.5] * 5], [0, 0, 1, *[0.5] * 5]]


def test_a_stroke_is_thickened_in_some_tasks_and_thinned_in_others_and_blur_keeps_its_ink():
    image = jnp.zeros((1, 16, 16)).at[0, 4:12, 6:10].set(1.0)
    keys = jax.random.split(jax.random.key(0), 30)
    ink = [float(redrawn(key, image, Variety(stroke=1.0)).sum()) for key in keys]
    assert min(ink) < 24 < 40 < max(ink)
    blurred = [redrawn(key, image, Variety(blur=1.0)) for key in keys]
    np.testing.assert_allclose([b.sum() for b in blurred], 32, rtol=0.05)
    assert min(float(b.max()) for b in blurred) < 0.8


def test_inverted_swaps_bright_and_dark_and_gamma_keeps_the_ends():
    pixels = jnp.linspace(0, 1, 5)
    np.testing.assert_allclose(toned(jax.random.key(0), pixels, Variety(inverted=1.0)), pixels[::-1], atol=1e-6)
    curve = np.asarray(toned(jax.random.key(1), pixels, Variety(gamma=1.0)))
    np.testing.assert_allclose(curve[[0, -1]], [0, 1], atol=0.05)
    assert np.abs(curve[1:4] - pixels[1:4]).min() > 0.01


def test_characters_fill_their_share_of_the_side_and_only_inked_strokes_show():
    points, inked = map(np.asarray, strokes.alphabet(jax.random.key(0), 200, 3))
    assert set(inked.sum(1)) == {1, 2, 3}
    assert (inked[:, 0] == 1).all()
    path = strokes.spline() @ points
    for character, ink in zip(path, inked.astype(bool), strict=True):
        shown = character[ink].reshape(-1, 2)
        np.testing.assert_allclose(np.ptp(shown, 0).max(), strokes.SIZE, rtol=1e-5)
        np.testing.assert_allclose(shown.min(0), -shown.max(0), atol=1e-5)
    pen = jnp.full(200, 0.04)
    one_missing = strokes.pictured(jnp.asarray(points), jnp.asarray(inked), pen, 24)
    moved = points + 5 * (1 - inked)[..., None, None]
    np.testing.assert_allclose(
        strokes.pictured(jnp.asarray(moved), jnp.asarray(inked), pen, 24), one_missing, atol=1e-6
    )
    assert ((np.asarray(one_missing) >= 0) & (np.asarray(one_missing) < 1)).all()


def test_a_pen_draws_a_line_of_its_own_width_where_its_points_are():
    along = np.linspace(-0.35, 0.35, strokes.KNOTS)
    line = jnp.asarray(np.stack([np.full(strokes.KNOTS, 0.125), along], 1), jnp.float32)[None, None]
    thin, thick = (
        np.asarray(strokes.pictured(line, jnp.ones((1, 1)), jnp.array([pen]), 24))[0] for pen in (0.03, 0.06)
    )
    rows = np.arange(24)
    for image in (thin, thick):
        np.testing.assert_allclose((image[:, 12] * rows).sum() / image[:, 12].sum(), 0.625 * 24 - 0.5, atol=0.1)
        assert image[:, [0, 23]].max() < 0.3
        assert image[14:16, 12].min() > 0.8
    assert 1.7 < thick[:, 12].sum() / thin[:, 12].sum() < 2.3


def test_counts_are_poisson():
    rates = jnp.array([0.1, 1.0, 2.5])
    counts = np.asarray(poisson(jax.random.key(0), jnp.broadcast_to(rates, (20000, 3))))
    np.testing.assert_allclose(counts.mean(0), rates, rtol=0.05)
    np.testing.assert_allclose(counts.var(0), rates, rtol=0.06)


def test_documents_are_binary_in_some_tasks_and_their_frequent_words_tell_no_class():
    spec = tasks(side=12, sources={"words": {"kind": "words", "length": 300, "common": 1.0, "binary": 0.5}})
    source, classes = sources_of(spec)["words"], every_class(400, setting(spec))
    common, binary = [], []
    for task in range(12):
        counts = np.asarray(source.show(jax.random.key(0), jax.random.key(task), classes, setting(spec)).inputs)
        of_class = counts.reshape(3, 400, -1).mean(1)
        # Whatever a task's share is, words no class prefers come first.
        ratio = of_class.max(0) / np.maximum(of_class.min(0), 1e-9)
        common.append(int(np.argmax(ratio > 1.6)))
        binary.append(counts.max() == 1)
    assert 3 <= sum(binary) <= 9
    assert max(common) > 30
    assert min(common) < 15


def test_tables_have_columns_of_four_kinds_that_are_correlated_and_standardised():
    spec = tasks(side=12, sources={"tables": {"kind": "tables", "columns": 20}})
    source, classes = sources_of(spec)["tables"], every_class(300, setting(spec))
    draw = jax.jit(lambda task: source.show(jax.random.key(0), task, classes, setting(spec)).inputs)
    numbers, kinds = [], []
    for task in jax.random.split(jax.random.key(1), 8):
        x = np.asarray(draw(task))
        used = (x != 0).any(0)
        numbers.append(int(used.sum()))
        assert used[: numbers[-1]].all()
        x = x[:, used]
        np.testing.assert_allclose(x.mean(0), 0, atol=1e-3)
        np.testing.assert_allclose(x.std(0), 1, atol=1e-2)
        assert np.abs(np.corrcoef(x.T) - np.eye(x.shape[1])).max() > 0.6
        values = np.array([len(np.unique(column)) for column in x.T])
        skewed = (x**3).mean(0) > 1.5
        kinds.append([values == 2, (values > 2) & (values < 100), (values > 500) & skewed, (values > 500) & ~skewed])
    assert 20 <= min(numbers) < 60 < max(numbers) <= 144
    shares = np.concatenate(kinds, axis=1).mean(1)
    assert ((shares > 0.15) & (shares < 0.35)).all()


def test_levels_of_a_category_exclude_one_another():
    levels = np.asarray(tables.one_hot(jax.random.normal(jax.random.key(0), (50, 8))))
    assert [levels[:, at : at + 3].sum(1).tolist() for at in (0, 3, 6)] == [[1] * 50] * 3


@pytest.mark.parametrize(
    ("weights", "count", "expected"),
    [
        ([1.0], 8, [8]),
        ([2.0, 1.0, 1.0], 8, [4, 2, 2]),
        ([0.5, 0.25, 0.25], 64, [32, 16, 16]),
        ([100.0, 1.0, 1.0], 3, [1, 1, 1]),
        ([1.0, 1.0, 1.0], 8, [3, 3, 2]),
    ],
)
def test_sources_share_the_tasks_by_weight(weights: list[float], count: int, expected: list[int]):
    assert list(shares(dict(zip("abc", weights, strict=False)), count).values()) == expected


def test_every_meta_step_has_the_same_number_of_tasks_of_each_source_without_compiling_again():
    spec = run(tasks(coefficient_weight=1.0))
    sources, like = sources_of(spec.tasks), group(spec, spec.base_models[0])
    draw = jax.jit(lambda key, states: sample_window(key, states, sources, like, truncation=2))
    for seed in range(3):
        states = staggered_tasks(jax.random.key(seed), like, Totals(shortest=2, longest=4))
        window = draw(jax.random.key(seed), states)
        assert window.unlabelled.shape == (10, 2, 4, 36)
        assert window.images.shape == (10, 2, 9, 36)
        assert window.targets.shape == (10, 2, 9, 8)
        assert all(np.isfinite(part).all() for part in window)
        # Of ten tasks four are letters, two projections of letters, two strokes: these alone have jitter.
        assert (window.targets[..., 3:] != 0).any((1, 2, 3)).tolist() == [True] * 8 + [False] * 2
        whole = (window.images == jnp.round(window.images)).all((1, 2, 3))
        assert whole.tolist() == [False] * 9 + [True]
    assert draw._cache_size() == 1


def test_held_out_images_are_those_of_the_test_split():
    letters, spec = dataset(per_class=5), tasks()
    pools = [image_pool(letters, spec, held_out=held_out) for held_out in (False, True)]
    assert [pool.count.tolist() for pool in pools] == [[4] * 5, [1] * 5]
    assert pools[1].pixels.tolist() == letters["image"].values[::5, ..., 0].tolist()
    assert list(task_sources(spec.sources, spec, {"letters": letters}, held_out=True)) == ["letters", "projections"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"classes": 6}, "tasks.classes: 6 exceeds the 5 training classes of letters"),
        ({"side": 7}, "datasets.letters.side: 12 is less than twice tasks.side; give 14"),
    ],
)
def test_a_dataset_that_is_too_small_is_one_line(keys: dict[str, int], message: str):
    assert refused(sources_of, tasks(**keys)) == message
