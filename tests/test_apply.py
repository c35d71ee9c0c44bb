import json

import jax
import numpy as np
import pytest
from metaplastic import apply, perceptron
from metaplastic.apply import Recording, apply_rule, input_permutations, seed_keys
from metaplastic.config.base import parse_spec
from metaplastic.features import Identity, identity_of, read_features
from metaplastic.io import memory
from metaplastic.io.storage import write_manifest
from metaplastic.network import initial_base_model
from metaplastic.stages.apply_rule import apply as stage
from metaplastic.stages.prepare_dataset import prepare_dataset
from metaplastic.update_rules.spec import Apply, BaseModel, Compact, Initial
from metaplastic.update_rules.theta import built_rule, save_theta
from refusals import refused

EXAMPLES, INPUTS = 40, 6
TEST = np.arange(0, EXAMPLES, 4)
TRAIN = np.setdiff1d(np.arange(EXAMPLES), TEST)
PROBE = np.array([8, 0, 33])
BASE_MODEL = BaseModel(hidden=[5], features=3, activation="tanh")


def _inputs() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(EXAMPLES, INPUTS)).astype(np.float32) * np.arange(1, INPUTS + 1)


def _recordings(
    kind: str,
    inner_steps: list[int],
    *,
    inputs: np.ndarray | None = None,
    seeds: int = 2,
    probe: np.ndarray = PROBE,
    **keys: float,
) -> list[Recording]:
    return apply_rule(
        built_rule(parse_spec(Initial, json.dumps({"kind": kind})), jax.random.key(0)),
        (_inputs() if inputs is None else inputs).astype(np.float32),
        train=TRAIN,
        probe=probe,
        base_model=BASE_MODEL,
        spec=Apply(seeds=seeds, inner_steps=inner_steps, batch=8, **keys),
    )


def _by_hand(x: np.ndarray, layers: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Features in double precision: batch norm over all of `x`, bias, tanh."""
    for W, b in layers:
        z = x.astype(np.float64) @ W
        x = np.tanh((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-6) + b)
    return x


@pytest.mark.parametrize("kind", ["oja", "hebb"])
def test_a_rule_learns_from_training_rows_only(kind):
    absurd, others = _inputs(), _inputs()
    absurd[TEST], others[TEST] = 1e6, np.nan
    trained_more = _inputs()
    trained_more[TRAIN[0]] += 10
    first, second, changed = (_recordings(kind, [0, 20], inputs=inputs)[1] for inputs in (absurd, others, trained_more))
    np.testing.assert_array_equal(first.first_layer_weights, second.first_layer_weights)
    assert np.isfinite(first.first_layer_weights).all()
    # Twenty batches of eight miss no training row of thirty.
    assert not np.array_equal(first.first_layer_weights, changed.first_layer_weights)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_what_is_recorded_is_the_mean_of_base_models_the_later_the_more(decay):
    each = [r.first_layer_weights for r in _recordings("hebb", [0, 1, 2, 3], average=0.0)]
    averaged = [r.first_layer_weights for r in _recordings("hebb", [0, 1, 2, 3], average=decay)]
    np.testing.assert_array_equal(averaged[0], each[0])
    for steps in (1, 2, 3):
        weights = decay ** np.arange(steps)[::-1]
        expected = np.average(each[1 : steps + 1], axis=0, weights=weights)
        np.testing.assert_allclose(averaged[steps], expected, rtol=1e-5, atol=1e-7)


def test_features_are_of_all_rows_and_normalised_over_all_of_them():
    plain, inputs = _recordings("identity", [0])[0].features, _inputs()
    assert plain.shape == (2, EXAMPLES, BASE_MODEL.features)
    inputs[TEST[0]] += 5
    changed = _recordings("identity", [0], inputs=inputs)[0].features
    assert not np.allclose(plain[:, TEST[0]], changed[:, TEST[0]], atol=1e-3)
    assert not np.allclose(plain[:, TRAIN], changed[:, TRAIN], atol=1e-3)


def test_each_seed_sees_the_permutation_that_is_recorded_for_it():
    recording = _recordings("identity", [0], seeds=3)[0]
    permutations = np.asarray(input_permutations(seed_keys(3), INPUTS))
    np.testing.assert_array_equal(np.sort(permutations, 1), np.tile(np.arange(INPUTS), (3, 1)))
    assert len({tuple(permutation) for permutation in permutations} | {tuple(range(INPUTS))}) == 4
    for seed, key in enumerate(seed_keys(3)):
        initial = initial_base_model(jax.random.fold_in(key, 1), [INPUTS, 5, 3], "tanh").layers
        W = recording.first_layer_weights[seed]
        # One program draws what many drew here; without optimisation their last bits may differ.
        np.testing.assert_allclose(W, initial[0].W, rtol=1e-6)
        biases = [np.asarray(layer.b, np.float64) for layer in initial]
        layers = [(W.astype(np.float64), biases[0]), (np.asarray(initial[1].W, np.float64), biases[1])]
        first = _by_hand(_inputs()[:, permutations[seed]], layers[:1])
        np.testing.assert_allclose(recording.activations[0][seed], first[PROBE], atol=1e-4)
        expected = _by_hand(_inputs()[:, permutations[seed]], layers)
        np.testing.assert_allclose(recording.features[seed], expected, atol=1e-4)
        # The bound is one that the inputs in another order do not keep.
        assert np.abs(_by_hand(_inputs(), layers) - expected).max() > 1e-2


@pytest.mark.parametrize("kind", ["oja", "hebb"])
def test_recording_in_between_changes_nothing(kind):
    start, between, end = _recordings(kind, [0, 2, 5])
    also_start, also_end = _recordings(kind, [0, 5])
    for one, other in ((start, also_start), (end, also_end)):
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(a, b)
    # Every gap is learned in, and the second goes on with other batches than the first.
    weights = [recording.first_layer_weights for recording in (start, between, end)]
    assert not np.allclose(weights[0], weights[1], atol=1e-4)
    assert not np.allclose(weights[1], weights[2], atol=1e-4)


def test_a_seed_is_the_same_whatever_the_number_of_seeds():
    few, many = _recordings("oja", [0, 5]), _recordings("oja", [0, 5], seeds=4)
    for one, other in zip(jax.tree.leaves(few), jax.tree.leaves(many), strict=True):
        assert (len(one), len(other)) == (2, 4)
        np.testing.assert_allclose(one, other[:2], rtol=1e-4, atol=1e-5)
        assert all(not np.allclose(other[i], other[j], atol=1e-3) for i in range(4) for j in range(i))
    np.testing.assert_array_equal(
        input_permutations(seed_keys(2), INPUTS), input_permutations(seed_keys(4), INPUTS)[:2]
    )


def test_probe_rows_are_those_asked_for():
    for recording in _recordings("oja", [0, 3]):
        assert [layer.shape for layer in recording.activations] == [(2, 3, 5), (2, 3, 3)]
        np.testing.assert_array_equal(recording.activations[-1], recording.features[:, PROBE])
    everything = _recordings("oja", [3], probe=np.arange(EXAMPLES))[0]
    for of_all, of_probe in zip(everything.activations, recording.activations, strict=True):
        np.testing.assert_allclose(of_all[:, PROBE], of_probe, atol=1e-6)


def test_seeds_that_are_large_are_trained_one_after_another_and_only_the_first_one_s_weights_kept(monkeypatch):
    together = _recordings("oja", [0, 5], seeds=3)
    monkeypatch.setattr(apply, "SIDE_BY_SIDE", 0)
    for apart, all_at_once in zip(_recordings("oja", [0, 5], seeds=3), together, strict=True):
        np.testing.assert_allclose(apart.features, all_at_once.features, rtol=1e-4, atol=1e-5)
        assert apart.first_layer_weights.shape == (1, INPUTS, 5)
        np.testing.assert_allclose(apart.first_layer_weights, all_at_once.first_layer_weights[:1], atol=1e-5)
        for kept, of_all in zip(apart.activations, all_at_once.activations, strict=True):
            np.testing.assert_allclose(kept, of_all[:1], rtol=1e-4, atol=1e-5)


def test_the_store_says_what_network_it_is_of_and_has_no_axis_of_seeds_for_what_is_kept_of_one(monkeypatch, tmp_path):
    monkeypatch.setattr(apply, "SIDE_BY_SIDE", 0)
    prepare_dataset("digits", '{"source": "digits"}', "abc", tmp_path / "raw", tmp_path / "digits.zarr")
    network, spec = '{"hidden": [5, 7], "features": 3, "activation": "sine"}', '{"seeds": 2, "inner_steps": [0, 1]}'
    output = tmp_path / "features.zarr"
    stage("oja", '{"kind": "oja"}', "mine", network, spec, "abc", tmp_path / "digits.zarr", output)
    store = read_features(output)
    assert identity_of(store) == Identity("oja", "oja", "digits", "mine", 2, 7, "sine")
    assert store.features.dims[:2] == ("seed", "inner_step")
    assert store.first_layer_weights.dims == ("inner_step", "input", "unit")
    assert store.activation_2.dims == ("inner_step", "probe", "unit_2")
    assert 50 < store.attrs["peak_mb"] < 1e5


@pytest.mark.parametrize(("seeds", "trained"), [(1, 2), (3, 1)])
def test_of_several_thetas_each_trains_as_many_base_models_as_the_config_says(seeds, trained, tmp_path):
    prepare_dataset("digits", '{"source": "digits"}', "abc", tmp_path / "raw", tmp_path / "digits.zarr")
    folders = []
    for seed in range(seeds):
        folders.append(tmp_path / f"seed-{seed}")
        compact = Compact(kind="compact", channels=2)
        theta = folders[-1] / "step-000000.safetensors"
        save_theta(built_rule(compact, jax.random.key(seed)), theta, spec=dict(compact))
        write_manifest(folders[-1], spec={}, code="abc")
    network, spec = '{"hidden": [5], "features": 3}', '{"seeds": 2, "seeds_a_theta": 1, "inner_steps": [0, 1]}'
    output = tmp_path / "features.zarr"
    rule = '{"kind": "meta-trained", "run": "own", "meta_step": 0}'
    stage("before", rule, "mine", network, spec, "abc", tmp_path / "digits.zarr", output, folders)
    sizes = read_features(output).features.sizes
    assert (sizes["meta_seed"], sizes["seed"]) == (seeds, trained)


def test_a_width_whose_base_models_cannot_fit_is_refused_before_anything_is_made(monkeypatch):
    monkeypatch.setattr(memory, "device_memory", lambda: 2**33)
    message = refused(apply.check_size, 1, 196, BaseModel(hidden=[20_000, 40_000]), batch=64)
    parts = "12.0 for base models and their averages + 0.0 for a batch"
    assert message == f"hidden, features, batch: {parts} = 12.0 GiB at least, but there are 8.0 GiB; give less"
    # Activations of all examples take no part.
    apply.check_size(1, 196, BaseModel(hidden=[10_000, 40_000]), batch=64)


@pytest.mark.parametrize("kind", ["identity", "hebb"])
def test_layers_that_are_large_on_all_examples_are_recorded_in_parts(kind, monkeypatch):
    together = _recordings(kind, [0, 5])
    monkeypatch.setattr(apply, "LARGE", 5 * EXAMPLES - 1)
    monkeypatch.setattr(perceptron, "CHUNK", 60)
    for parts, at_once in zip(_recordings(kind, [0, 5]), together, strict=True):
        np.testing.assert_allclose(parts.features, at_once.features, atol=1e-5)
        np.testing.assert_array_equal(parts.first_layer_weights, at_once.first_layer_weights)
        for found, expected in zip(parts.activations, at_once.activations, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)
