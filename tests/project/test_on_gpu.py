import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from metaplastic.io.errors import InputError
from metaplastic.io.memory import OUT_OF_MEMORY
from snakemake.utils import update_config

from benchmarks import on_gpu, parts
from benchmarks.on_gpu import PARTS, laid_over, pre_training, without
from benchmarks.parts import Given, Part, Rows, measure_parts, recorded

ROOT = Path(__file__).parents[2]
MINUTE = 60.0


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of two rehearsals, and the record after each."""
    folder, records = tmp_path_factory.mktemp("gpu"), []
    # Compiled fast rather than well, and what the first one compiles, the second one finds.
    fast = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache"), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    for _ in range(2):
        command = [sys.executable, "-m", "benchmarks.on_gpu", "--small", "--minutes", "20", "--output", str(folder)]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | fast, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == (folder / "rehearsal/on_gpu.md").read_text().strip()
        records.append(recorded(folder / "rehearsal"))
    return folder / "rehearsal", records


@pytest.mark.slow
def test_a_rehearsal_measures_every_part(rehearsed: tuple[Path, list[dict[str, Any]]]) -> None:
    _, (record, _) = rehearsed
    assert record["machine"]["device"] == "cpu"
    assert record["machine"].keys() >= {"jax", "memory, GB", "Python"}
    assert list(record["parts"]) == list(PARTS)
    for part in record["parts"].values():
        assert part["state"] == "whole"
        assert part["seconds"] > 0
        assert part["peak memory, GB"] > 0
    rows = {name: part["rows"] for name, part in record["parts"].items()}
    assert {numbers["from the CPU"] for numbers in rows["correctness"].values()} == {0.0}
    assert [*rows["precisions"]] == [
        f"{what}, {rule}, float32" for what in ("inner step", "meta-gradient") for rule in ("compact", "published")
    ]
    (steps,) = rows["meta-steps"].values()
    assert steps["tasks"] == steps["of them at once"]
    assert steps["meta-steps/s"] * steps["hours for 200,000"] == pytest.approx(200_000 / 3600)
    assert all(numbers["training steps/s"] > 0 for numbers in rows["learners"].values())
    assert "letters" in rows["pre-training"]["compact-large"]["note"]


@pytest.mark.slow
def test_its_page_has_the_machine_and_every_table(rehearsed: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = rehearsed
    page = (folder / "on_gpu.md").read_text()
    assert page.startswith("# Measured on cpu\n")
    for name in PARTS:
        assert f"\n## {name}\n" in page
    for row in ("| meta-gradient, compact, float32 ", "| published, float32 ", "| maml ", "| compact-large "):
        assert f"\n{row}" in page
    assert "\n- compact-large: without letters (" in page


@pytest.mark.slow
def test_a_second_call_goes_on_and_measures_nothing_twice(rehearsed: tuple[Path, list[dict[str, Any]]]) -> None:
    _, (first, second) = rehearsed
    before, after = (record["parts"].pop("pre-training")["rows"]["compact-large"] for record in (first, second))
    assert (before["meta-steps"], after["meta-steps"]) == (2, 4)
    assert before["of them now"] == after["of them now"] == 2
    assert first["parts"] == second["parts"]


def test_without_time_all_is_skipped(tmp_path: Path) -> None:
    page = measure_parts(PARTS, Given(tmp_path, time.time()))
    record = json.loads((tmp_path / "on_gpu.json").read_text())
    assert {part["state"] for part in record["parts"].values()} == {"skipped: 0 s were left for it"}
    assert list(record["parts"]) == list(PARTS)
    assert page.count("skipped") == len(PARTS)


def raises(given: Given) -> Rows:
    yield "a good row", lambda: {"number": 1.5}
    raise InputError("no such thing")


def crashes(given: Given) -> Rows:
    yield "a row", lambda: os._exit(3)


def some_rows(given: Given) -> Rows:
    counted = given.folder / "counted"
    counted.write_text(counted.read_text() + "x" if counted.exists() else "x")

    def once() -> dict[str, Any]:
        if len(counted.read_text()) > 1:
            raise AssertionError("measured before")
        return {"number": 2.5}

    def wrong() -> dict[str, Any]:
        raise RuntimeError("at first")

    yield "good", once
    yield "bad", wrong if len(counted.read_text()) == 1 else lambda: {"number": 3.5}


def hangs(given: Given) -> Rows:
    yield "never", lambda: time.sleep(10 * MINUTE) or {}


def test_an_error_in_one_part_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apart = parts.ended

    def ended(name: str, part: Part, given: Given, limit: float) -> str:
        return apart(name, part, given, limit) if name == "crashes" else parts.work(name, part, given) or ""

    # Only what ends its process needs one of its own.
    monkeypatch.setattr(parts, "configure_jax", lambda: None)
    monkeypatch.setattr(parts, "ended", ended)
    some = {name.__name__: Part(name, 1) for name in (raises, crashes, some_rows)}
    page = measure_parts(some, Given(tmp_path, time.time() + 10 * MINUTE))
    found = recorded(tmp_path)["parts"]
    assert found["raises"]["state"] == "failed: InputError: no such thing"
    assert found["raises"]["rows"] == {"a good row": {"number": 1.5}}
    assert found["crashes"]["state"] == "failed: its process ended with exit code 3"
    assert found["some_rows"]["state"] == "with errors"
    assert found["some_rows"]["rows"]["good"] == {"number": 2.5}
    assert "- bad: RuntimeError: at first" in page
    # The next call measures only what went wrong.
    measure_parts({"some_rows": some["some_rows"]}, Given(tmp_path, time.time() + 10 * MINUTE))
    after = recorded(tmp_path)["parts"]["some_rows"]
    assert after["state"] == "whole"
    assert after["rows"] == {"good": {"number": 2.5}, "bad": {"number": 3.5}}


def test_a_part_ends_at_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LEAST", 0.0)
    measure_parts({"hangs": Part(hangs, 1)}, Given(tmp_path, time.time() + 3))
    assert recorded(tmp_path)["parts"]["hangs"]["state"] == "stopped after 3 s, its share of the time"


def test_tasks_are_done_in_as_many_parts_as_memory_demands(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def step_seconds(spec: Any) -> float:
        tried.append(spec.microbatches)
        if spec.microbatches < 8:
            raise RuntimeError(OUT_OF_MEMORY)
        return 2.0

    programs = SimpleNamespace(TASKS=8, WIDTHS=(196, 128, 32), BATCH=128)
    replaced = {
        "sized": lambda given: (programs, {}, ()),
        "built": lambda make: SimpleNamespace(function=None, arguments=()),
        "compiled": lambda *arguments: None,
        "memory": lambda program: 8 * 2**30,
        "device_memory": lambda: 100 * 2**30,
        "step_seconds": step_seconds,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(on_gpu, name, value)
    numbers = on_gpu.at_papers_size(Given(Path(), 0.0), "tensorfloat32")
    assert tried == [4, 8]
    assert (numbers["tasks"], numbers["of them at once"]) == (256, 32)
    assert numbers["hours for 200,000"] == pytest.approx(200_000 * 2 / 3600)


def test_the_run_is_the_config_without_what_cannot_be_had() -> None:
    raw, over = (yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "pretrain-gpu"))
    merged = laid_over(raw, over)
    update_config(raw, over)
    assert merged == raw
    ((name, measure),) = pre_training(Given(Path(), 0.0, name="published-large"))
    section = measure.args[1]
    own = raw["meta_train"][name]
    assert {key for key in own if section[key] != own[key]} == {"held_out"}
    whole, less = without(section, {}), without(section, {"omniglot", "fashion-mnist"})
    assert whole.datasets == ["cifar-10", "fashion-mnist", "letters", "omniglot"]
    assert less.datasets == ["cifar-10", "letters"]
    assert less.held_out.kinds == ["words"]
    with pytest.raises(InputError, match=r"^--name: no run 'missing'; valid: .*compact-large, published-large$"):
        on_gpu.on_gpu(Path(), name="missing")
