import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from metaplastic.io.errors import InputError
from metaplastic.io.storage import (
    check_manifest,
    manifest_path,
    read_netcdf,
    read_zarr,
    write_manifest,
    write_netcdf,
    write_whole,
    write_zarr,
)
from refusals import refused


def _dataset(seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        {
            "accuracy": (("readout", "draw"), rng.random((2, 60)), {"units": "1"}),
            "count": ("draw", rng.integers(0, 9, 60)),
            "image": (("draw", "pixel"), rng.random((60, 5), dtype=np.float32)),
            "chance": ((), 0.1),
        },
        coords={"readout": np.array(["logistic", "ridge"], dtype=object), "draw": np.arange(60)},
        attrs={"method": "oja", "n_test": 60},
    )


def _write(dataset: xr.Dataset, path: Path) -> None:
    write_zarr(dataset, path, spec={"source": "x"}, code="abc", extra={"device": "cpu"})


def _chunk(store: Path) -> Path:
    return next(path for path in sorted((store / "accuracy").rglob("*")) if path.is_file() and path.name != "zarr.json")


def _finished_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _die(code: str, *arguments: Path) -> None:
    """Run `code` in a process of its own that ends without any clean-up."""
    finished = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert finished.returncode == 7, finished.stderr


class _InterruptedError(Exception):
    pass


def _half_file(temporary: Path) -> None:
    temporary.write_text("half")
    raise _InterruptedError


def _half_folder(temporary: Path) -> None:
    temporary.mkdir()
    (temporary / "part").write_text("half")
    raise _InterruptedError


@pytest.fixture
def broken_zarr(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing a store breaks after half of it."""

    def to_zarr(dataset: xr.Dataset, store: Path, **_: object) -> None:
        store.mkdir()
        (store / "zarr.json").write_text("{")
        raise _InterruptedError

    monkeypatch.setattr(xr.Dataset, "to_zarr", to_zarr)


@pytest.mark.parametrize("write", [_half_file, _half_folder])
def test_a_failing_writer_leaves_nothing(tmp_path, write):
    with pytest.raises(_InterruptedError):
        write_whole(tmp_path / "x", write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [_half_file, _half_folder])
def test_a_failing_rewrite_leaves_the_old_file(tmp_path, write):
    (tmp_path / "x").write_text("whole")
    with pytest.raises(_InterruptedError):
        write_whole(tmp_path / "x", write)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "whole"


@pytest.mark.usefixtures("broken_zarr")
def test_a_failing_first_write_leaves_no_store(tmp_path):
    with pytest.raises(_InterruptedError):
        _write(_dataset(), tmp_path / "x.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_rewrite_leaves_the_old_store_readable(tmp_path, request):
    store = tmp_path / "x.zarr"
    _write(_dataset(), store)
    request.getfixturevalue("broken_zarr")
    with pytest.raises(_InterruptedError):
        _write(_dataset(1), store)
    assert {path.name for path in tmp_path.iterdir()} == {"x.zarr", "x.manifest.json"}
    assert read_zarr(store).identical(_dataset())


def test_a_failing_netcdf_rewrite_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.nc"
    write_netcdf(_dataset(), path)
    monkeypatch.setattr(Path, "write_bytes", lambda path, _: _half_file(path))
    with pytest.raises(_InterruptedError):
        write_netcdf(_dataset(1), path)
    assert list(tmp_path.iterdir()) == [path]
    assert read_netcdf(path).identical(_dataset())


@pytest.mark.parametrize("rewrite", [False, True])
def test_a_store_whose_writer_died_before_the_manifest_is_refused(tmp_path, rewrite):
    store = tmp_path / "x.zarr"
    if rewrite:
        _write(_dataset(1), store)
    _die(
        "import os, sys, pathlib, xarray, metaplastic.io.storage as storage\n"
        "storage.write_manifest = lambda *_, **__: os._exit(7)\n"
        "storage.write_zarr(xarray.Dataset({'a': ('n', [1, 2])}), pathlib.Path(sys.argv[1]), spec={}, code='')",
        store,
    )
    assert store.exists()
    assert "x.manifest.json: missing or unreadable" in refused(read_zarr, store)
    _write(_dataset(), store)
    assert read_zarr(store).identical(_dataset())


def test_what_a_writer_that_died_left_is_neither_read_nor_kept(tmp_path):
    store = tmp_path / "x.zarr"
    _die(
        "import os, sys, pathlib, metaplastic.io.storage as storage\n"
        "def write(temporary):\n"
        "    temporary.mkdir()\n"
        "    (temporary / 'part').write_text('half')\n"
        "    os._exit(7)\n"
        "storage.write_whole(pathlib.Path(sys.argv[1]), write)",
        store,
    )
    assert len(list(tmp_path.iterdir())) == 1
    assert "x.zarr: missing" in refused(read_zarr, store)
    _write(_dataset(), store)
    assert {path.name for path in tmp_path.iterdir()} == {"x.zarr", "x.manifest.json"}


def test_only_stale_temporaries_of_the_same_target_are_removed(tmp_path):
    dead = _finished_pid()
    here = socket.gethostname()
    stale = [tmp_path / f".x.nc.{here}.{dead}.tmp", tmp_path / f".x.nc.{here}.{2**70}.tmp"]
    kept = [
        tmp_path / f".x.nc.{here}.{os.getppid()}.tmp",
        tmp_path / f".x.nc.{here}x.{dead}.tmp",
        tmp_path / f".y.nc.{here}.{dead}.tmp",
        tmp_path / f".xznc.{here}.{dead}.tmp",
        tmp_path / f".x.nc.old.{here}.{dead}.tmp",
        tmp_path / ".x.nc.note.tmp",
    ]
    stale[0].mkdir()
    (stale[0] / "part").write_text("half")
    for path in [stale[1], *kept]:
        path.write_text("half")
    write_whole(tmp_path / "x.nc", lambda temporary: temporary.write_text("whole"))
    assert set(tmp_path.iterdir()) == {tmp_path / "x.nc", *kept}


def test_a_store_survives_the_round_trip_with_its_record(tmp_path):
    store = tmp_path / "new" / "x.zarr"
    _write(_dataset(), store)
    assert read_zarr(store).identical(_dataset())
    record = check_manifest(store)
    assert (record["spec"], record["code"], record["device"]) == ({"source": "x"}, "abc", "cpu")
    _write(_dataset(1), store)
    assert read_zarr(store).identical(_dataset(1))


def _truncate(store: Path) -> None:
    _chunk(store).write_bytes(_chunk(store).read_bytes()[:-1])


def _flip(store: Path) -> None:
    content = bytearray(_chunk(store).read_bytes())
    content[len(content) // 2] ^= 1
    _chunk(store).write_bytes(content)


def _remove(store: Path) -> None:
    _chunk(store).unlink()


def _move(store: Path) -> None:
    _chunk(store).rename(_chunk(store).with_name("7"))


def _add(store: Path) -> None:
    (store / "extra").write_text("")


def _other_attribute(store: Path) -> None:
    metadata = (store / "zarr.json").read_text()
    assert '"oja"' in metadata
    (store / "zarr.json").write_text(metadata.replace('"oja"', '"abc"'))


@pytest.mark.parametrize("damage", [_truncate, _flip, _remove, _move, _add, _other_attribute])
def test_a_damaged_store_is_refused(tmp_path, damage):
    store = tmp_path / "x.zarr"
    _write(_dataset(), store)
    damage(store)
    assert "x.zarr: truncated or changed since it was written" in refused(read_zarr, store)


@pytest.mark.parametrize(
    "content", [None, b"", b'{"content_sha256": "', b"{}", b"[]", b'"text"', b"null", b"\xff\xfe", b"[1, 2]"]
)
def test_a_missing_or_garbled_manifest_is_refused(tmp_path, content):
    store = tmp_path / "x.zarr"
    _write(_dataset(), store)
    if content is None:
        manifest_path(store).unlink()
    else:
        manifest_path(store).write_bytes(content)
    with pytest.raises(InputError, match=r"x\.manifest\.json: missing or unreadable; remove .*x\.zarr"):
        read_zarr(store)


def test_a_manifest_of_other_content_is_refused(tmp_path):
    store = tmp_path / "x.zarr"
    _write(_dataset(), store)
    record = json.loads(manifest_path(store).read_text())
    manifest_path(store).write_text(json.dumps({**record, "content_sha256": None}))
    assert "x.zarr: truncated or changed" in refused(read_zarr, store)


def test_a_file_is_checked_against_its_manifest_too(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_text("theta")
    write_manifest(path, spec={}, code="abc")
    assert check_manifest(path)["code"] == "abc"
    path.write_text("thetb")
    assert "x.safetensors: truncated or changed" in refused(check_manifest, path)


def test_other_programs_read_the_netcdf_file_and_its_numbers_are_filtered(tmp_path):
    write_netcdf(_dataset(), tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as dataset:
        assert dataset.load().identical(_dataset())
    with h5py.File(tmp_path / "x.nc") as file:
        filtered = {name for name in _dataset().variables if file[name].fletcher32}
        assert filtered == {"accuracy", "count", "image", "draw"}


def test_equal_content_gives_equal_netcdf_bytes(tmp_path):
    for name, seed in {"a": 0, "b": 0, "c": 1}.items():
        write_netcdf(_dataset(seed), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_an_empty_variable_can_be_written(tmp_path):
    dataset = xr.Dataset({"a": ("n", np.zeros(0)), "b": ((), "text")})
    write_netcdf(dataset, tmp_path / "x.nc")
    assert read_netcdf(tmp_path / "x.nc").identical(dataset)


def test_a_changed_byte_anywhere_in_a_netcdf_file_is_refused(tmp_path):
    path = tmp_path / "x.nc"
    write_netcdf(_dataset(), path)
    content = path.read_bytes()
    named = [content.index(part) for part in (_dataset()["accuracy"].values.tobytes(), b"oja", b"logistic")]
    rng = np.random.default_rng(0)
    for position in [0, *named, *rng.choice(len(content), 40, replace=False), len(content) - 1]:
        changed = bytearray(content)
        changed[position] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        assert "x.nc: truncated or changed since it was written" in refused(read_netcdf, path)
    path.write_bytes(content)
    assert read_netcdf(path).identical(_dataset())


@pytest.mark.parametrize("kept", [0, 1, 63, 64, 65, 2000, -64, -1])
def test_a_truncated_netcdf_file_is_refused(tmp_path, kept):
    path = tmp_path / "x.nc"
    write_netcdf(_dataset(), path)
    path.write_bytes(path.read_bytes()[:kept])
    assert "x.nc: truncated or changed since it was written; remove it" in refused(read_netcdf, path)


def test_what_is_no_netcdf_file_is_refused_by_name(tmp_path):
    (tmp_path / "folder.nc").mkdir()
    for name in ("absent.nc", "folder.nc"):
        assert f"{name}: missing or no netCDF file; remove it" in refused(read_netcdf, tmp_path / name)


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("x"), OSError("x"), ValueError("x")])
def test_whatever_the_netcdf_reader_raises_is_an_input_error(tmp_path, monkeypatch, error):
    write_netcdf(_dataset(), tmp_path / "x.nc")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(xr, "open_dataset", fail)
    assert "x.nc: missing or no netCDF file" in refused(read_netcdf, tmp_path / "x.nc")


def test_a_store_behind_a_link_is_replaced_where_it_is(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name in ("x.zarr", "x.manifest.json"):
        (tmp_path / name).symlink_to(f"elsewhere/{name}")
    for value in (1, 2):
        write_zarr(xr.Dataset({"a": value}), tmp_path / "x.zarr", spec={}, code="")
        assert read_zarr(tmp_path / "x.zarr").a == read_zarr(tmp_path / "elsewhere/x.zarr").a == value
    assert (tmp_path / "x.zarr").is_symlink()
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["x.manifest.json", "x.zarr"]
