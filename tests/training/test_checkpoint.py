"""States on disk: round trips, and everything that may be wrong with a file or its folder."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from metaplastic.io.errors import InputError
from metaplastic.training.checkpoint import newest_state, remove_old_states, save_state, saved_steps, state_path
from metaplastic.training.spec import Keep
from refusals import refused

RECORD = {"config": "abc", "jax": "1.0", "devices": "1"}


class State(NamedTuple):
    theta: dict[str, jax.Array]
    key: jax.Array
    meta_step: jax.Array


def _state(meta_step: int) -> State:
    keys = jax.random.split(jax.random.key(meta_step), 3)
    return State({"a": jnp.arange(6.0).reshape(2, 3).T + meta_step}, keys, jnp.array(meta_step))


LIKE = jax.eval_shape(lambda: _state(0))


def _equal(a: State, b: State) -> bool:
    plain = [state._replace(key=jax.random.key_data(state.key)) for state in (a, b)]
    return bool(jax.tree.all(jax.tree.map(lambda x, y: (x == y).all() and x.dtype == y.dtype, *plain)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for step in (10, 20):
        save_state(_state(step), state_path(tmp_path, step), RECORD)
    return tmp_path


def test_the_newest_state_comes_back_exactly_and_equal_states_are_equal_bytes(folder: Path) -> None:
    found = newest_state(folder, LIKE, RECORD)
    assert found is not None
    assert _equal(found, _state(20))
    assert jnp.array_equal(jax.random.uniform(found.key[0]), jax.random.uniform(_state(20).key[0]))
    save_state(found, folder / "again", RECORD)
    assert (folder / "again").read_bytes() == state_path(folder, 20).read_bytes()


def test_an_empty_or_missing_folder_has_no_state(tmp_path: Path) -> None:
    assert newest_state(tmp_path, LIKE, RECORD) is None
    assert newest_state(tmp_path / "nothing", LIKE, RECORD) is None


def _flip(place: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _with_header(edit: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        size = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:size])
        edit(header)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + content[size:]

    return change


def _with_shape(shape: list[int]) -> Callable[[bytes], bytes]:
    return _with_header(lambda header: header["theta.a"].update(shape=shape))


DAMAGE = {
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "short": lambda content: content[:-1],
    "long": lambda content: content + b"x",
    "last bit": _flip(-1),
    "data": _flip(-40),
    "length": _flip(3),
    "header": _flip(30),
    "huge": _with_shape([2**40, 2**20]),
    "shape": _with_shape([2, 3]),
    "claim": lambda content: (2**62).to_bytes(8, "little") + content[8:],
    "text": lambda content: b"x" * 100,
    "no sum": _with_header(lambda header: header["__metadata__"].pop("sha256")),
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_a_state_that_is_not_whole_is_passed_over_in_one_line(
    folder: Path, change: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    path, older = state_path(folder, 20), state_path(folder, 10).read_bytes()
    path.write_bytes(change(path.read_bytes()))
    found = newest_state(folder, LIKE, RECORD)
    assert found is not None
    assert _equal(found, _state(10))
    (line,) = caplog.messages
    assert line.startswith(str(path))
    assert "\n" not in line
    assert state_path(folder, 10).read_bytes() == older


def test_no_whole_state_is_none(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (10, 20):
        state_path(folder, step).write_bytes(b"")
    assert newest_state(folder, LIKE, RECORD) is None
    assert len(caplog.messages) == 2


def test_a_state_of_another_config_ends_the_run(folder: Path) -> None:
    with pytest.raises(InputError, match=r"step-000020.safetensors: of config abc, this run is other; move"):
        newest_state(folder, LIKE, RECORD | {"config": "other"})


def test_a_state_of_another_structure_is_named(folder: Path) -> None:
    like = LIKE._replace(theta={"a": jax.ShapeDtypeStruct((4, 2), jnp.float32)})
    assert "theta.a is float32[3, 2], this version has float32[4, 2]" in refused(newest_state, folder, like, RECORD)
    with pytest.raises(InputError, match=r"theta.b is missing, this version has"):
        newest_state(folder, LIKE._replace(theta=LIKE.theta | {"b": LIKE.theta["a"]}), RECORD)


def test_another_version_is_said_loudly_and_gone_on_from(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = newest_state(folder, LIKE, RECORD | {"jax": "2.0"})
    assert found is not None
    (line,) = caplog.messages
    assert "WARNING" in line
    assert "saved with jax 1.0, this is 2.0" in line


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_one_line_and_leaves_older_states(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(os, call, full)
    with pytest.raises(InputError, match=r"step-000030.safetensors: cannot be saved: No space left on device"):
        save_state(_state(30), state_path(folder, 30), RECORD)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be saved" in refused(save_state, _state(1), state_path(tmp_path / "file", 1), RECORD)


def test_the_newest_states_and_milestones_are_kept(tmp_path: Path) -> None:
    for step in range(0, 90, 10):
        state_path(tmp_path, step).write_bytes(b"")
    remove_old_states(tmp_path, Keep(newest=2), 10)
    assert saved_steps(tmp_path) == [70, 80]
    for step in range(0, 90, 10):
        state_path(tmp_path, step).write_bytes(b"")
    remove_old_states(tmp_path, Keep(newest=1, milestones=3), 10)
    (tmp_path / "step-000080 (copy).safetensors").touch()
    assert saved_steps(tmp_path) == [0, 30, 60, 80]
