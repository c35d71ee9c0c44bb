"""A run that is killed, at whatever moment, ends with the bytes of one that is not."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from metaplastic.io.errors import InputError
from metaplastic.training.checkpoint import read_history
from metaplastic.training.launch import locked
from toy_runs import Runs

VARIED = json.dumps(
    {
        "base_models": [
            {"hidden": [], "features": 3, "activations": ["relu", "tanh", "sine"]},
            {"hidden": [], "features": 2, "side": 2},
        ],
        "draw": {"base_models": 1, "every": 1},
        "unroll": {"truncations": [2, 4], "shortest": 4, "longest": 12},
        "gradient": {"kind": "nres"},
    }
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    runs = Runs(tmp_path_factory.mktemp("runs"))
    runs.environment["JAX_LOG_COMPILES"] = "1"
    assert runs.finish("whole").split() == ["0", "2", "4", "6", "8", "10", "12"]
    del runs.environment["JAX_LOG_COMPILES"]
    assert runs.said.count("Compiling jit(dispatch)") == 1
    return runs


def _kill_while_saving(runs: Runs, name: str, events: list[int], *changes: str) -> None:
    for event in events:
        process = runs.start(name, *changes, str(event))
        process.communicate()
        assert process.returncode == -signal.SIGKILL


# Eight events a dispatch: write, flush, rename and flush the folder, of its snapshot and of its state.
@pytest.mark.parametrize(
    ("events", "steps"),
    [([12], [0, 2, 4, 6, 8, 10, 12]), pytest.param([12, 14, 7], [4, 6, 8, 10, 12], marks=pytest.mark.slow)],
    ids=["one", "three"],
)
def test_kills_in_the_middle_of_saving_change_no_byte(runs: Runs, events: list[int], steps: list[int]) -> None:
    name = f"killed {len(events)}"
    _kill_while_saving(runs, name, events, "{}")
    assert list(map(int, runs.finish(name).split())) == steps
    runs.assert_equal("whole", name)
    # And a finished run is not run again.
    assert runs.finish(name).split() == ["12"]


@pytest.mark.slow
def test_a_run_that_draws_base_models_and_activations_goes_on_too(runs: Runs) -> None:
    runs.finish("varied", VARIED)
    _kill_while_saving(runs, "varied and killed", [12, 7], VARIED)
    runs.finish("varied and killed", VARIED)
    runs.assert_equal("varied", "varied and killed")


@pytest.mark.slow
@pytest.mark.parametrize(("program", "events"), [("toy_embedding.py", [1, 9, 6, 10, 3]), ("toy_learner.py", [6, 10])])
def test_embeddings_and_learners_that_are_killed_end_with_the_same_bytes(
    program: str, events: list[int], tmp_path: Path
) -> None:
    # Of each save a write, a flush, a rename and a flush of the folder, in the first one of a snapshot too.
    runs = Runs(tmp_path, program)
    whole = runs.finish("whole")
    _kill_while_saving(runs, "killed", events)
    assert (runs.finish("killed"), whole.count("\n")) == (whole, 1)
    runs.assert_equal("whole", "killed")


def test_a_second_process_is_refused_in_one_line_and_changes_nothing(runs: Runs) -> None:
    with locked(runs.folder / "contended"):
        second = runs.start("contended")
        _, errors = second.communicate()
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        message = f"{runs.folder}/contended: in use by {holder}; wait for it or end it, then run again"
        assert errors.splitlines()[-1] == f"error: {message}"
        assert [path.name for path in (runs.folder / "contended").iterdir()] == ["lock"]


def test_a_process_holds_its_folder_until_it_is_killed(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from metaplastic.training.launch import locked\n"
    code += "with locked(Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "run"], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    holder = f"process {process.pid} on {socket.gethostname()}"
    with pytest.raises(InputError, match=f"run: in use by {holder}; wait for it or end it, then run again$"):
        locked(tmp_path / "run").__enter__()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]
    process.kill()
    process.communicate()
    with locked(tmp_path / "run"), locked(tmp_path / "run"), ThreadPoolExecutor(1) as other_thread:
        second = other_thread.submit(locked(tmp_path / "run").__enter__)
        assert "run: in use by another thread of this process; wait for it" in str(second.exception())


def test_a_file_system_without_locks_is_said_and_a_folder_that_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with locked(tmp_path / "run"):
        assert "knows no locks; start no second process" in caplog.text
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="file/run: cannot be written to: Not a directory; "),
        locked(tmp_path / "file/run"),
    ):
        pass


def test_the_history_has_every_meta_step_and_evaluation_once(runs: Runs) -> None:
    history = read_history(runs.folder / "whole/history.zarr")
    np.testing.assert_array_equal(history["meta_step"], np.arange(1, 13))
    np.testing.assert_array_equal(history["evaluation_step"], [0, 2, 4, 6, 8, 10, 12])
    assert (history["truncation"] == 2).all()
    assert np.isfinite(history["meta_loss"]).all()
    assert (history["dropped"] == 0).all()


@pytest.mark.slow
def test_eight_devices_and_parts_of_the_tasks_agree_with_one_device_at_once(runs: Runs) -> None:
    runs.finish("shared", '{"microbatches": 2}', devices=8)
    np.testing.assert_allclose(runs.theta("shared"), runs.theta("whole"), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("changes", ["{}", VARIED], ids=["plain", "varied"])
def test_twenty_kills_at_random_moments_change_no_byte(runs: Runs, changes: str) -> None:
    rng, whole, killed = np.random.default_rng(0), f"whole {len(changes)}", f"killed {len(changes)}"
    runs.finish(whole, changes)
    for kill in range(20):
        if kill % 2:
            # At most a dispatch a start, so that the run is not over before the last kill.
            process = runs.start(killed, changes, str(rng.integers(12)))
        else:
            process = runs.start(killed, changes)
            time.sleep(rng.random() * 8)
            process.kill()
        process.communicate()
    runs.finish(killed, changes)
    runs.assert_equal(whole, killed)
