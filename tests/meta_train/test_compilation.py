"""Equal shapes are compiled once, and a stage that is started again compiles nothing."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import pytest
from metaplastic.network import initial_base_model
from metaplastic.stages.prepare_dataset import prepare_dataset
from metaplastic.update_rules import compact, polynomial, published
from metaplastic.update_rules.spec import Compact, Polynomial, Published
from toy_run import Hebbian

from benchmarks import programs

SMALL = {"channels": 4, "error_channels": 2, "readout_channels": 1}
RULES = {
    "compact": lambda: compact.build(Compact(kind="compact", **SMALL), jax.random.key(0)),
    "published": lambda: published.build(Published(kind="published", features=5, **SMALL), jax.random.key(0)),
    "polynomial": lambda: polynomial.build(Polynomial(kind="polynomial"), jax.random.key(0)),
}


@pytest.mark.parametrize("name", RULES)
def test_an_inner_step_is_compiled_once_for_equal_shapes(name: str) -> None:
    rule = RULES[name]()
    update = jax.jit(lambda rule, phi, x: rule.update(phi, x))  # a function of its own, with a cache of its own
    phi = initial_base_model(jax.random.key(1), (6, 5))
    for key in jax.random.split(jax.random.key(2), 3):
        phi = update(rule, phi, jax.random.uniform(key, (7, 6)))
    assert update._cache_size() == 1


def test_a_meta_gradient_is_compiled_once_for_equal_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    for constant, value in {"TASKS": 2, "STEPS": 2, "LABELLED": 6, "CLASSES": 3}.items():
        monkeypatch.setattr(programs, constant, value)
    function, (rule, phis, window), *_ = programs.meta_gradient(Hebbian(0.1, 0.01), (6, 5), batch=7)
    gradient = jax.jit(function)
    for _ in range(3):
        found = gradient(rule, phis, window)
        rule, phis = eqx.apply_updates(rule, found.gradient), found.tasks.phi
    assert gradient._cache_size() == 1


def test_a_stage_started_again_compiles_nothing(tmp_path: Path) -> None:
    prepare_dataset("digits", '{"source": "digits"}', "abc", tmp_path / "raw", tmp_path / "digits.zarr")
    options = {
        "method": "oja",
        "rule": {"kind": "oja"},
        "base_model_name": "small",
        "base_model": {"hidden": [], "features": 4},
        "spec": {"seeds": 2, "inner_steps": [1]},
        "code": "abc",
        "dataset": "digits.zarr",
        "output": "features.zarr",
    }
    command = [sys.executable, "-m", "metaplastic.stages.apply_rule"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", value if isinstance(value, str) else json.dumps(value)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment["JAX_LOG_COMPILES"] = "1"

    def start() -> tuple[int, int]:
        begin = time.monotonic()
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        programs = done.stderr.count("Finished XLA compilation of")
        found = done.stderr.count("Persistent compilation cache hit for")
        print(f"{time.monotonic() - begin:.1f} s for {programs} programs, {found} of them found in the cache")
        return programs, found

    (programs, found), again = start(), start()
    assert (tmp_path / ".cache/jax").is_dir()
    assert programs > found
    assert again == (programs, programs)
