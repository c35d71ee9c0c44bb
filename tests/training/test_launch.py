"""Two processes of one device train as one process of two devices does, and no way in which one ends loses anything."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.training.launch import locked
from toy_run import SPEC
from toy_runs import Runs

TWO = '{"processes": 2}'


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("processes"))


@pytest.fixture(scope="module")
def trained(runs: Runs) -> Runs:
    """With a run "one", of one process."""
    assert runs.finish("one", devices=2).split() == ["0", "2", "4", "6", "8", "10", "12"]
    return runs


def _members(launcher: int) -> list[int]:
    """Processes that a launcher has started, the first of them first."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    return sorted(int(child) for child in children.read_text().split()) if children.exists() else []


@pytest.mark.slow
def test_two_processes_of_one_device_end_with_the_bytes_of_one_process_of_two(trained: Runs) -> None:
    assert trained.finish("two", TWO).split() == ["0", "2", "4", "6", "8", "10", "12"]
    trained.assert_equal("one", "two")


@pytest.mark.slow
def test_what_one_process_has_begun_two_can_end_and_the_other_way_round(trained: Runs) -> None:
    for first, then in ((TWO, "{}"), ("{}", TWO)):
        name = f"begun by {2 if first == TWO else 1}"
        _stop_after(trained, name, first, steps=4)
        trained.finish(name, then, devices=2 if then == "{}" else 1)
        trained.assert_equal("one", name)


def _stop_after(runs: Runs, name: str, changes: str, steps: int) -> None:
    process = runs.start(name, changes, devices=2 if changes == "{}" else 1)
    _wait_for(process, steps)
    process.kill()
    process.communicate()
    _wait_until_free(runs.folder / name)


def _wait_for(process: subprocess.Popen[str], steps: int) -> None:
    """Until a run says that it has done so many meta-steps."""
    assert process.stdout
    for line in process.stdout:
        if int(line) >= steps:
            return
    pytest.fail(process.communicate()[1])


def _wait_until_free(folder: Path) -> None:
    """Until the processes of a launcher that was killed have noticed."""
    deadline = time.monotonic() + 20
    holder = re.search(r"process (\d+) on", (folder / "lock").read_text())
    while holder and Path(f"/proc/{holder[1]}").exists():
        assert time.monotonic() < deadline, "still there"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_a_process_that_dies_ends_all_with_one_line_and_the_next_attempt_goes_on(trained: Runs, number: int) -> None:
    name = f"without {number}"
    launcher = trained.start(name, TWO)
    _wait_for(launcher, 4)
    members = _members(launcher.pid)
    os.kill(members[number], signal.SIGKILL)
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode == 1
    ended = "error: one of 2 processes was ended by SIGKILL; run again to go on from the last saved state"
    assert errors.splitlines() == [ended]
    assert not [member for member in members if Path(f"/proc/{member}").exists()]
    assert int(trained.finish(name, TWO).split()[0]) >= 4
    trained.assert_equal("one", name)


@pytest.mark.slow
def test_an_error_of_one_process_ends_all_at_once(runs: Runs) -> None:
    """Though it cannot end before the others, which wait for it."""
    folder = runs.folder / "taken"
    with locked(folder):
        launcher = runs.start("taken", TWO)
        _, errors = launcher.communicate(timeout=100)
    holder = (
        f"{folder}: in use by process {os.getpid()} on {socket.gethostname()}; wait for it or end it, then run again"
    )
    assert errors.splitlines() == [f"error: {holder}"]
    assert launcher.returncode == 1


@pytest.mark.slow
def test_a_process_that_compiles_for_longer_than_another_is_waited_for(trained: Runs) -> None:
    trained.finish("late", TWO, "", "35")
    trained.assert_equal("one", "late")


def _started(runs: Runs, place: str, *command: str) -> subprocess.Popen[str]:
    """One of several processes, without a launcher."""
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = {**runs.environment, "METAPLASTIC_PROCESS": place}
    return subprocess.Popen([sys.executable, *command], env=environment, text=True, **pipes)


def test_a_first_process_that_cannot_be_reached_is_told_in_one_line(runs: Runs) -> None:
    # Port 9 is nobody's.
    impatient = "from metaplastic.training import launch; launch.PATIENCE = 2; launch.join()"
    alone = _started(runs, "1/2@localhost:9", "-c", impatient)
    place = "METAPLASTIC_PROCESS 1/2@localhost:9: the processes do not find one another"
    assert place in _errors(alone)[-1]


# The program with more in the record of what its run is of.
WITH_RECORD = """
import json, runpy, sys
from metaplastic.training import checkpoint as state
more, versions, sys.argv = json.loads(sys.argv[1]), state.versions, sys.argv[2:]
state.versions = lambda: versions() | more
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("entry", "specs", "records"),
    [
        ("config", (TWO, '{"batch": 6, "processes": 2}'), ("{}", "{}")),
        pytest.param("jax", (TWO, TWO), ("{}", '{"jax": "0.1"}'), marks=pytest.mark.slow),
    ],
)
def test_processes_of_unequal_configs_or_versions_are_refused_in_one_line(
    runs: Runs, entry: str, specs: tuple[str, str], records: tuple[str, str]
) -> None:
    with socket.socket() as free:
        free.bind(("", 0))
        address = f"localhost:{free.getsockname()[1]}"
    processes = [
        _started(
            runs, f"{number}/2@{address}", "-c", WITH_RECORD, record, str(runs.program), str(runs.folder / entry), spec
        )
        for number, (spec, record) in enumerate(zip(specs, records, strict=True))
    ]
    for process in processes:
        line = f"error: {entry}: process 1 has another one than process 0; start both from one checkout and environment"
        assert _errors(process) == [line]


def _errors(process: subprocess.Popen[str]) -> list[str]:
    """What a process says that fails; its input, whose end would end it, is open until then."""
    assert process.stderr
    errors = process.stderr.read().splitlines()
    process.communicate()
    assert process.returncode == 1
    return errors


def test_tasks_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(
        ValueError, match="processes: 3 cannot share out 16 tasks of a base model that are done at once"
    ):
        MetaTrain.model_validate(SPEC | {"processes": 3})


@pytest.mark.slow
def test_ten_kills_of_either_process_change_no_byte(trained: Runs) -> None:
    rng = np.random.default_rng(0)
    for kill in range(10):
        launcher = trained.start("killed", TWO)
        deadline = time.monotonic() + 2 + rng.random() * 8
        while time.monotonic() < deadline and launcher.poll() is None:
            time.sleep(0.05)
        members = _members(launcher.pid)
        if launcher.poll() is None and len(members) == 2:
            os.kill(members[kill % 2], signal.SIGKILL)
        launcher.communicate(timeout=60)
    trained.finish("killed", TWO)
    trained.assert_equal("one", "killed")
