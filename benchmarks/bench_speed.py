"""Speed, memory and compilation of every program, each round between two matrix products."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.measurement import Measurement, Program, copied_gigabytes_per_second, matrix_product
from benchmarks.programs import PROGRAMS

ROOT = Path(__file__).parents[1]
GFLOP, MOST_ROUNDS = 600, 15
"""Rounds of a program come to about that much work, and are at most that many."""


@pytest.fixture(scope="session")
def product() -> Callable[[], float]:
    """The yardstick."""
    return matrix_product()


@pytest.fixture(scope="session")
def copied() -> float:
    """The yardstick of memory."""
    return copied_gigabytes_per_second()


@pytest.mark.parametrize("name", PROGRAMS)
def test_speed(
    name: str, benchmark: BenchmarkFixture, product: Callable[[], float], copied: float, request: pytest.FixtureRequest
) -> None:
    """Compile a program from every tree, then let them take turns."""
    checkouts = request.config.getoption("--tree") or [ROOT]
    measured = [Measurement(programs(checkout)[name](), product) for checkout in checkouts]
    first, *others = measured
    rounds = min(max(int(GFLOP * 1e9 / first.flops), 1), MOST_ROUNDS)
    # A call that is long enough to be the only one needs no warm-up.
    for each in measured if rounds > 1 else []:
        each.call()

    def take_turns() -> None:
        for other in others:
            other.round()
        first.beside()

    benchmark.pedantic(first.call, setup=take_turns, teardown=first.beside, rounds=rounds)
    stats: Any = benchmark.stats
    first.seconds = list(stats.stats.data)
    trees = [{**each.numbers(), "copied_gigabytes_per_second": copied} for each in measured]
    benchmark.extra_info.update(program=name, trees=trees)


def programs(tree: Path) -> dict[str, Callable[[], Program]]:
    """Import the programs with the package of a checkout, whichever one was imported before."""
    for name in [name for name in sys.modules if f"{name}.".startswith(("metaplastic.", "benchmarks.programs."))]:
        del sys.modules[name]
    sys.path.insert(0, str(tree / "rules_src"))
    package = importlib.import_module("metaplastic")
    if not Path(str(package.__file__)).is_relative_to(tree):
        raise ImportError(f"{tree} has no rules_src/metaplastic")
    found: dict[str, Callable[[], Program]] = importlib.import_module("benchmarks.programs").PROGRAMS
    return found
