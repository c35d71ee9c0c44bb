import numpy as np
import pytest
import xarray as xr
from metaplastic.datasets.arrays import Inputs
from metaplastic.few_shot.readout_accuracy import draw_labelled, evaluate, logistic_regression, ridge, scale
from metaplastic.few_shot.spec import FewShot
from metaplastic.io.errors import InputError
from sklearn.linear_model import LogisticRegression, Ridge

SPEC = FewShot(shots=[1, 5], draws=4, draws_over_inner_steps=2)


def labelled(classes=3, per_class=40):
    labels = np.tile(np.arange(classes, dtype=np.int32), per_class)
    return Inputs(np.zeros((len(labels), 1), np.float32), labels, np.arange(len(labels)) % 5 < 2)


def store(*steps):
    values = np.stack(steps)[None].astype(np.float32)
    return xr.DataArray(
        values, dims=("seed", "inner_step", "example", "feature"), coords={"seed": [0], "inner_step": range(len(steps))}
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_separable_features_are_perfect_and_noise_is_chance(classes):
    data = labelled(classes, 900)
    noise = np.random.default_rng(0).normal(size=(len(data.labels), classes))
    result = evaluate(store(noise, np.eye(classes)[data.labels]), data, SPEC)
    assert (result["accuracy"] == 1).all()
    at_chance = result["accuracy_over_inner_steps"].sel(inner_step=0)
    assert abs(at_chance - 1 / classes).max() < 0.06
    assert result["accuracy"].dims == ("readout", "shots", "seed", "draw")
    assert dict(result.sizes) | {"draw": 4, "draw_over_inner_steps": 2, "inner_step": 2} == dict(result.sizes)


def test_levels_of_the_features_are_levels_of_the_accuracies():
    data, rng = labelled(), np.random.default_rng(0)
    values = rng.normal(size=(2, 3, 2, len(data.labels), 4)).astype(np.float32)
    coords = {"meta_seed": [0, 1], "seed": [0, 1, 2], "inner_step": [0, 9]}
    features = xr.DataArray(values, dims=(*coords, "example", "feature"), coords=coords)
    both = evaluate(features, data, FewShot(shots=[1, 5], draws=4))
    assert both["accuracy"].dims == ("readout", "shots", "meta_seed", "seed", "draw")
    dims = both["accuracy_over_inner_steps"].dims
    assert dims == ("readout", "inner_step", "meta_seed", "seed", "draw_over_inner_steps")
    alone = evaluate(features.isel(meta_seed=1, seed=[2]), data, FewShot(shots=[1, 5], draws=4))
    for name in ("accuracy", "accuracy_over_inner_steps"):
        np.testing.assert_array_equal(both[name].isel(meta_seed=1, seed=[2]), alone[name])
    # By default curves end where the table is.
    last = both["accuracy_over_inner_steps"].isel(inner_step=-1)
    np.testing.assert_array_equal(last, both["accuracy"].sel(shots=5))


def test_draws_are_nested_balanced_and_of_the_training_split():
    data = labelled()
    few, many = (draw_labelled(data.labels, ~data.test, shots=k, draws=n, seed=0) for k, n in ((2, 3), (7, 5)))
    np.testing.assert_array_equal(few, many[:3, :, :2])
    assert not data.test[many].any()
    np.testing.assert_array_equal(data.labels[many], np.broadcast_to(np.arange(3)[:, None], many.shape))
    assert all(len(set(draw.ravel().tolist())) == draw.size for draw in many)
    assert not np.array_equal(many[0], many[1])
    assert not np.array_equal(many, draw_labelled(data.labels, ~data.test, shots=7, draws=5, seed=1))


@pytest.mark.parametrize("width", [3, 60])
def test_ridge_is_that_of_scikit_learn(width):
    rng = np.random.default_rng(1)
    features, labels = rng.normal(1.0, 1.0, (2, 15, width)), np.repeat(np.arange(3), 5)
    readouts = ridge(features, labels, penalty=0.3)
    for draw, weights, bias in zip(features, *readouts, strict=True):
        expected = Ridge(alpha=0.3).fit(draw, np.eye(3)[labels] - 1 / 3)
        np.testing.assert_allclose(weights, expected.coef_.T, atol=1e-9)
        np.testing.assert_allclose(bias, expected.intercept_, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 5])
def test_logistic_regression_of_each_draw_is_that_of_scikit_learn(classes):
    rng = np.random.default_rng(2)
    # Draws of unequal difficulty, none of which may end early for the others.
    labels, units = np.repeat(np.arange(classes), 8), np.array([0.1, 1, 10])[:, None, None]
    features = units * (rng.normal(size=(3, len(labels), 4)) + np.eye(classes, 4)[labels])
    readouts = logistic_regression(features, labels, c=0.7)
    for draw, weights, bias in zip(features, *readouts, strict=True):
        exact = LogisticRegression(C=0.7, tol=1e-9, max_iter=10000).fit(draw, labels)
        scores = draw @ weights + bias
        found = np.exp(scores - scores.max(1, keepdims=True))
        np.testing.assert_allclose(found / found.sum(1, keepdims=True), exact.predict_proba(draw), atol=2e-3)


def test_units_and_dead_features_change_nothing():
    data, rng = labelled(3, 60), np.random.default_rng(3)
    features = rng.normal(size=(180, 6)) + 0.7 * np.eye(3, 6)[data.labels]
    dead = np.full((180, 4), 7.0)
    plain, other = evaluate(store(features), data, SPEC), evaluate(store(np.hstack([64 * features, dead])), data, SPEC)
    np.testing.assert_allclose(plain["accuracy"], other["accuracy"], atol=0.02)
    all_dead = evaluate(store(np.zeros((180, 5))), data, SPEC)
    np.testing.assert_allclose(all_dead["accuracy"], 1 / 3, atol=0.02)


def test_scale_uses_training_examples_alone():
    features = np.random.default_rng(4).normal(3, 2, (50, 4)).astype(np.float32)
    train = np.arange(50) < 30
    scaled = scale(features, train)
    np.testing.assert_allclose(scaled[train].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled[train].var(0).mean(), 1, rtol=1e-5)
    changed = np.where(train[:, None], features, 100).astype(np.float32)
    np.testing.assert_array_equal(scale(changed, train)[train], scaled[train])


def test_bad_features_are_named():
    data = labelled()
    good = np.random.default_rng(5).normal(size=(120, 2))
    with pytest.raises(InputError, match="not finite"):
        evaluate(store(np.where(np.arange(240).reshape(120, 2) == 7, np.nan, good)), data, SPEC)
    with pytest.raises(InputError, match="119 examples, but the dataset has 120"):
        evaluate(store(good[1:]), data, SPEC)
    with pytest.raises(InputError, match=r"few_shot\.shots: 25 .* class 0 has 24"):
        evaluate(store(good), data, FewShot(shots=[25]))
