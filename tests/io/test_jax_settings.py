"""What the package computes under, and that one process at a time compiles what others need too."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from metaplastic.io.jax_settings import NUMBERS, compiling, own_numbers, seed_key

ELSEWHERE = {
    "JAX_ENABLE_X64": "1",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_RANDOM_SEED_OFFSET": "5",
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_HIGH_DYNAMIC_RANGE_GUMBEL": "1",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_TRANSFER_GUARD": "disallow",
    "JAX_DEBUG_NANS": "1",
}
CHECK = """
assert not jax.config.jax_enable_x64 and not jax.config.jax_debug_nans
assert jax.config.jax_transfer_guard == "allow" and jax.config.jax_default_matmul_precision == "highest"
print(jax.random.gumbel(jax.random.key(3), (3,)) + jax.numpy.zeros((2, 3)))
"""


@pytest.mark.parametrize(
    "program",
    [
        # With JAX imported before, as most stages do, and after.
        "import jax; from metaplastic.stages.command import run; run(lambda: exec(CHECK))",
        "from metaplastic.stages.command import run; run(lambda: exec('import jax' + CHECK))",
        "import sys; from metaplastic import cli; cli.features = cli.train = lambda: exec('import jax' + CHECK); "
        "cli.command_line = lambda *commands, **options: commands[0](); cli.main()",
    ],
    ids=["a stage", "a stage that imports JAX late", "the command"],
)
def test_whatever_the_environment_says_programs_compute_under_settings_of_their_own(program: str) -> None:
    jax_s_own = {name for name in os.environ if name.startswith("JAX_")}
    environment = {name: value for name, value in os.environ.items() if name not in jax_s_own} | ELSEWHERE
    command = [sys.executable, "-c", f"CHECK = {CHECK!r}\n{program}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = jax.random.gumbel(jax.random.key(3), (3,)) + jax.numpy.zeros((2, 3))
    assert done.stdout == f"{expected}\n"


def test_settings_of_a_thread_are_back_afterwards() -> None:
    with jax.enable_x64(True), jax.numpy_rank_promotion("raise"):
        with own_numbers():
            assert not jax.config.jax_enable_x64
            assert jax.config.jax_numpy_rank_promotion == "allow"
        assert jax.config.jax_enable_x64
        assert jax.config.jax_numpy_rank_promotion == "raise"


@pytest.mark.parametrize("name", NUMBERS)
def test_the_settings_are_those_that_jax_has_by_default_but_for_precision(name: str) -> None:
    default = jax.config.values[name]
    if name == "jax_default_matmul_precision":
        assert NUMBERS[name] == "highest"
    elif default is None:
        assert NUMBERS[name] == "allow"
    else:
        assert str(NUMBERS[name]) in (str(default), str(getattr(default, "name", "")).lower())


@pytest.mark.parametrize("seed", [0, 5, 2**31, 2**32 - 1])
def test_the_key_of_a_seed_is_that_of_jax_whatever_it_makes_keys_of(seed: int) -> None:
    expected = jax.random.key_data(jax.random.key(seed))
    with jax.default_prng_impl("rbg"), jax.enable_x64(True):
        np.testing.assert_array_equal(jax.random.key_data(seed_key(seed)), expected)
        np.testing.assert_array_equal(jax.random.key_data(jax.jit(seed_key)(np.uint32(seed))), expected)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """A folder that is to keep compilations, not yet there."""
    folder = tmp_path / "jax"
    settings = {"jax_enable_compilation_cache": True, "jax_compilation_cache_dir": str(folder)}
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)


def _other(programs: str) -> tuple[threading.Thread, threading.Event]:
    """Another one that wants to compile, and whether it may."""
    allowed = threading.Event()

    def compile_() -> None:
        with compiling(programs):
            allowed.set()

    thread = threading.Thread(target=compile_, daemon=True)
    thread.start()
    return thread, allowed


def test_others_wait_for_the_same_programs_alone(kept: Path) -> None:
    with compiling("one"):
        waiting, allowed = _other("one")
        another, at_once = _other("another")
        assert at_once.wait(10)
        assert not allowed.wait(0.2)
    assert allowed.wait(10)
    for thread in (waiting, another):
        thread.join(10)


@pytest.mark.parametrize("without", ["a cache", "a folder"])
def test_nothing_waits_where_nothing_is_kept(kept: Path, without: str) -> None:
    if without == "a cache":
        jax.config.update("jax_enable_compilation_cache", False)
    else:
        kept.write_text("a file stands where the folder should")
    with compiling("one"):
        thread, allowed = _other("one")
        assert allowed.wait(10)
    thread.join(10)
