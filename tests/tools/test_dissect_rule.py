import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.apply import advance, initial_inner_loops, seed_keys
from metaplastic.datasets.arrays import load_inputs
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf, write_zarr
from metaplastic.network import initial_base_model
from metaplastic.tools import dissect_rule
from metaplastic.tools.dissect_rule import STEPS, dissect, relative_changes, without
from metaplastic.update_rules import pretrained
from metaplastic.update_rules.spec import BaseModel, Compact
from metaplastic.update_rules.terms import TERMS
from metaplastic.update_rules.theta import initial_rule, save_theta, trained_rule

NETWORK = {"hidden": [4], "features": 3}


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """A folder with a tiny rule."""
    spec = Compact(kind="compact", channels=2, error_channels=1, readout_channels=1)
    folder = tmp_path_factory.mktemp("rules")
    save_theta(initial_rule(spec), folder / "tiny.safetensors", spec=spec.model_dump())
    return folder


@pytest.fixture
def rule(packaged):
    return trained_rule(packaged / "tiny.safetensors")[1]


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    label = np.arange(120) % 2
    values = (rng.normal(size=(120, 6)) + 3 * label[:, None] * [1, -1, 0, 0, 0, 0]).astype(np.float32)
    about = About(source="blobs", title="blobs", licence="none", citation="none")
    return make_dataset(values, label, np.arange(120) >= 80, about, class_names=["a", "b"], checksum=[])


def test_without_a_term_only_its_coefficient_is_zero(rule):
    dropped = without(rule, ["hebb"]).forward.mix.coefficients
    kept = np.array(TERMS) != "hebb"
    np.testing.assert_array_equal(dropped[kept], rule.forward.mix.coefficients[kept])
    assert dropped[~kept] == 0 != rule.forward.mix.coefficients[~kept]
    phi, x = initial_base_model(jax.random.key(0), [6, 4, 3]), jax.random.normal(jax.random.key(1), (16, 6))
    update = eqx.filter_jit(type(rule).update)
    assert not np.allclose(update(without(rule, ["hebb"]), phi, x).layers[0].W, update(rule, phi, x).layers[0].W)


def test_accuracy_and_changes_are_written_for_each_activation(packaged, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(dissect_rule, "STEPS", STEPS[:3])
    monkeypatch.setattr(dissect_rule, "SHAPE", NETWORK)
    monkeypatch.setattr(pretrained, "FOLDERS", (packaged,))
    write_zarr(dataset, tmp_path / "blobs.zarr", spec={}, code="x")
    output = tmp_path / "terms.nc"
    dissect(
        "tiny",
        data=tmp_path / "blobs.zarr",
        output=output,
        activations=["relu", "tanh"],
        alone=["hebb", "decorr_x"],
        seeds=1,
        inner_steps=10,
    )
    found = read_netcdf(output)
    assert found["difference"].sizes == {"activation": 2, "term": len(TERMS) + 1}
    assert found["change"].sizes == {"activation": 2, "inner_step": 3, "layer": 2}
    assert (found["accuracy"] > 0.75).all()
    assert (found["accuracy"] + found["difference"] <= 1 + 1e-6).all()
    assert (found["interval"] >= 0).all()
    assert found["term"].values[-1] == "all but hebb, decorr_x"
    assert (found["difference"].isel(term=-1) != found["difference"].sel(term="hebb")).any()
    assert (found["change"] > 0).all()


def test_a_change_is_that_of_the_inner_step_after_so_many(rule, dataset):

    data = load_inputs(dataset)
    found = relative_changes(rule, data, BaseModel(**NETWORK), 1)
    loops = initial_inner_loops(seed_keys(1), [6, 4, 3], "relu")
    x, train = jnp.asarray(data.inputs), jnp.asarray(np.flatnonzero(data.train))
    old, new = (advance(rule, loops, x, train, steps=(0, n), batch=64, average=0.0).phis.layers[0].W[0] for n in (3, 4))
    np.testing.assert_allclose(found[1, 0], jnp.linalg.norm(new - old) / jnp.linalg.norm(old), rtol=1e-3)


def test_terms_that_there_are_not_are_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^--alone: no term hebbs; valid: 0_order, 1_order, decorr_x, hebb,"):
        dissect("generalist", data=tmp_path, output=tmp_path / "x.nc", activations=["relu"], alone=["hebbs"])
