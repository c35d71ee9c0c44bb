"""One process at a time compiles what others need too."""

import threading
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from metaplastic.io.jax_settings import compiling


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
