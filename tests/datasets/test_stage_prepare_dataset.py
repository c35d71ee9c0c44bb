import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from metaplastic.datasets.sources import letters
from metaplastic.io.errors import InputError
from metaplastic.io.storage import check_manifest, read_zarr
from metaplastic.stages.prepare_dataset import prepare_dataset
from refusals import refused


def stage(output: Path, spec: dict[str, object], *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metaplastic.stages.prepare_dataset", "--name", "mine", "--spec", json.dumps(spec)]
    paths = ["--code", "abc", "--cache", str(output.parent / "cache"), "--output", str(output)]
    return subprocess.run([*command, *paths, *more], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    output = tmp_path_factory.mktemp("results") / "digits.zarr"
    done = stage(output, {"source": "digits"})
    assert (done.returncode, done.stderr) == (0, "")
    return output


def test_the_store_is_whole(store):
    dataset = read_zarr(store)
    assert (dataset.image.shape, dataset.image.dtype) == ((1797, 8, 8, 1), np.uint8)
    assert (dataset.label.dtype, dataset.split.dtype) == (np.int32, np.uint8)
    assert (dataset.attrs["name"], dataset.source) == ("mine", "digits")
    assert dataset.split.attrs == {"flag_values": [0, 1, 2], "flag_meanings": "train test validation"}
    assert set(np.unique(dataset.split)) == {0, 1}
    assert check_manifest(store)["code"] == "abc"


def test_inputs_are_put_into_one_order_for_all_examples(store, tmp_path):
    plain = read_zarr(store)
    for seed, name in ((1, "one"), (1, "again"), (2, "other")):
        spec = json.dumps({"source": "digits", "permuted": seed})
        prepare_dataset(name="mine", spec=spec, code="", cache=tmp_path, output=tmp_path / f"{name}.zarr")
    one, again, other = (read_zarr(tmp_path / f"{name}.zarr") for name in ("one", "again", "other"))
    assert one.identical(again)
    assert (one.image != other.image).any()
    assert (one.attrs["permuted"], "permuted" in plain.attrs) == (1, False)
    before, after = (dataset.image.values.reshape(1797, 64) for dataset in (plain, one))
    order = [int(np.flatnonzero((before == column[:, None]).all(0))[0]) for column in after.T if column.any()]
    assert len(set(order)) > 40
    np.testing.assert_array_equal(np.sort(before, 1), np.sort(after, 1))
    xr.testing.assert_identical(
        plain.drop_vars("image"), one.drop_vars("image").drop_attrs(deep=False).assign_attrs(plain.attrs)
    )


def test_what_studies_ask_of_a_dataset_is_granted_to_the_last_example_or_nothing_is_written(tmp_path):
    arguments = {"name": "mine", "spec": '{"source": "digits"}', "code": "", "cache": tmp_path}
    output = tmp_path / "x.zarr"
    with pytest.raises(InputError):
        prepare_dataset(**arguments, output=output, shots=105)
    assert list(tmp_path.iterdir()) == []
    prepare_dataset(**arguments, output=output, shots=104)
    episodes = ['{"ways": [5, 10], "shots": [1, 65]}', '{"ways": [2], "shots": [65]}']
    prepare_dataset(**arguments, output=output, examples=1078, episodes=episodes)


def test_bad_input_is_one_line_and_writes_nothing(tmp_path):
    done = stage(tmp_path / "x.zarr", {"source": "mnist-5k", "sides": 7})
    assert done.returncode == 1
    assert done.stderr.startswith("error: --spec: mnist-5k.sides: Extra inputs are not permitted")
    assert done.stderr.count("\n") == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spec", "mirror", "message"),
    [
        ({"source": "mnist-5k", "side": 29}, None, "--spec: mnist-5k.side: Input should be less than or equal to 28"),
        ({"source": "minst"}, None, "--spec: section: Input tag 'minst'"),
        ({"source": "mnist"}, Path("nowhere"), "--mirror nowhere: no such folder"),
    ],
)
def test_what_cannot_be_prepared_is_refused_and_writes_nothing(tmp_path, spec, mirror, message):
    arguments = ("mine", json.dumps(spec), "abc", tmp_path / "cache", tmp_path / "x.zarr")
    assert refused(prepare_dataset, *arguments, mirror=mirror).startswith(message)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["digits", "letters", "mnist-5k"])
def test_every_packaged_source_survives_the_store(tmp_path, source, store, monkeypatch):
    faces = letters.installed_faces()[::20]
    monkeypatch.setattr(letters, "installed_faces", lambda: faces)
    output = tmp_path / "x.zarr"
    spec = {"source": source} if source == "digits" else {"source": source, "side": 8}
    prepare_dataset("x", json.dumps(spec), "abc", tmp_path / "cache", output)
    dataset = read_zarr(output)
    assert dataset.n_train + dataset.n_test == dataset.sizes["example"]
    if source == "digits":
        assert dataset.drop_attrs().identical(read_zarr(store).drop_attrs())
    if source == "letters":
        assert dataset.held_out_character.dtype == bool
        assert len(dataset.faces) * 62 == dataset.sizes["example"]
