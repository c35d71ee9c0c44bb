"""What goes wrong around what is computed: full disks, numbers that are none, too little memory, damaged results."""

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr
from metaplastic.embeddings.neural import NeuralTraining
from metaplastic.embeddings.spec import Vae
from metaplastic.embeddings.vae import family
from metaplastic.features import Identity, features_dataset, write_features
from metaplastic.io import memory
from metaplastic.io.errors import InputError
from metaplastic.io.storage import write_netcdf, write_whole
from metaplastic.meta_train.run import meta_training
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.stages import command
from metaplastic.tools.check_results import check
from metaplastic.training.loop import Folder
from refusals import refused

IDENTITY = Identity("mine", "oja", "gems", "small")


def _features(value: float = 0.0) -> xr.Dataset:
    return features_dataset(np.full((1, 1, 3, 2), value, np.float32), [0], xr.Dataset())


def _write(path: Path, value: float = 0.0) -> None:
    write_features(_features(value), path, identity=IDENTITY, spec={}, code="", seconds=1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_never_written(tmp_path: Path, value: float) -> None:
    message = refused(_write, tmp_path / "x.zarr", value)
    assert message.startswith("mine on gems: features has come out not finite; give a smaller rate or fewer")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    code = """if True:
        import resource, signal
        from pathlib import Path
        from metaplastic.stages.command import run
        from metaplastic.io.storage import write_whole
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        def write() -> None:
            write_whole(Path("x.txt"), lambda temporary: temporary.write_text("x" * 200))
        run(write)
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    said = "error: x.txt: cannot be saved: File too large; mend that and run again\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert list(tmp_path.iterdir()) == []


def _raise(error: Exception) -> Callable[[], None]:
    def stage() -> None:
        raise error

    return stage


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "mine.csv"), "error: mine.csv: Permission denied"),
        (MemoryError("Unable to allocate 9 TiB"), "error: out of memory: Unable to allocate 9 TiB; give smaller sizes"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating 9 bytes."),
            "error: out of memory: RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.; give smaller sizes",
        ),
    ],
)
def test_a_stage_ends_with_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setattr(command, "configure_jax", lambda: None)
    assert refused(command.run, _raise(error), error=SystemExit) == message


@pytest.mark.parametrize(
    "error", [OSError("no file"), jax.errors.JaxRuntimeError("INTERNAL: a bug"), ValueError("a bug")]
)
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setattr(command, "configure_jax", lambda: None)
    with pytest.raises(type(error)):
        command.run(_raise(error))


def test_networks_that_cannot_fit_are_refused_before_any_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(memory, "device_memory", lambda: 2**33)
    spec, folder = Vae(kind="vae", hidden=[10**9]), Folder(tmp_path, {})
    said = refused(NeuralTraining, family(spec, pixels=True), np.zeros((3, 2), np.float32), spec, [0], folder)
    assert re.match(r"hidden, features, batch: .* GiB at least, but there are 8\.0 GiB; give less", said)


@pytest.mark.parametrize(
    "changes",
    [
        {"tasks": {"side": 10**6, "sources": {"words": {"kind": "words"}}}},
        {"labelled": 10**9, "tasks": {"sources": {"words": {"kind": "words"}}}},
        {"batch": 10**9, "tasks": {"sources": {"words": {"kind": "words"}}}},
    ],
    ids=["side", "labelled", "batch"],
)
def test_a_run_that_cannot_fit_is_refused_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: dict[str, object]
) -> None:
    monkeypatch.setattr(memory, "device_memory", lambda: 2**33)
    spec = {"rule": {"kind": "compact"}, "base_models": [{"hidden": []}], "meta_steps": 1} | changes
    said = refused(meta_training, MetaTrain.model_validate(spec), {}, None, Folder(tmp_path, {}))
    assert re.match(r"base_models, parallel_tasks, .* GiB at least, but there are 8\.0 GiB; give", said)


def test_the_memory_of_this_machine_is_some() -> None:
    assert 2**28 < memory.device_memory() < 2**50


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A store and a netCDF file, and a run in progress that has no manifest yet."""
    _write(tmp_path / "features/x.zarr")
    write_netcdf(_features(), tmp_path / "studies/x.nc")
    (tmp_path / "features/state/x.zarr").mkdir(parents=True)
    return tmp_path


def test_whole_results_are_counted(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(results)
    assert capsys.readouterr().out == f"{results}: all 2 results are as they were written\n"


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda r: _cut(r / "studies/x.nc"), "studies/x.nc: truncated or changed since it was written; remove it"),
        (lambda r: _cut(r / "features/x.zarr/features/zarr.json"), "features/x.zarr: truncated or changed since"),
        (
            lambda r: (r / "features/x.zarr").rename(r / "gone"),
            "features/x.manifest.json: of a result that is gone; remove it and",
        ),
        (
            lambda r: (r / "features/x.manifest.json").unlink(),
            "features/x.manifest.json: missing or unreadable; remove",
        ),
        (lambda r: (r / "features/x.manifest.json").write_text(json.dumps([])), "features/x.manifest.json: missing or"),
    ],
    ids=["netcdf", "store", "no store", "no manifest", "manifest"],
)
def test_each_damaged_result_is_one_line(
    results: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], object], line: str
) -> None:
    damage(results)
    assert refused(check, results).endswith(": 1 of 2 results are damaged or missing")
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(f"{results}/{line}")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert refused(check, tmp_path / "none").endswith("none: no such folder; give a folder of results")


def test_writing_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/x: cannot be saved: File exists; mend that and run again$"):
        write_whole(tmp_path / "file/x", lambda temporary: temporary.write_text("x"))
