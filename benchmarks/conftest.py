"""Options of a measurement, and what it says about the machine."""

from pathlib import Path

import jax
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run name the checkouts that it measures."""
    parser.addoption("--tree", type=Path, action="append", help="checkout to measure; further ones in turn with it")


def pytest_configure() -> None:
    """Compile everything anew, so that the time it takes is the true one."""
    jax.config.update("jax_enable_compilation_cache", False)


def pytest_benchmark_update_machine_info(machine_info: dict[str, object]) -> None:
    """Add what programs run on and with."""
    machine_info.update(device=jax.devices()[0].device_kind, jax=jax.__version__)
