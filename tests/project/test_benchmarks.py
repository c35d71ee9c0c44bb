import json
import sys
from functools import partial
from pathlib import Path
from unittest.mock import patch

import jax
import jax.numpy as jnp
import pytest
from metaplastic.io.errors import InputError
from metaplastic.network import BaseModel
from metaplastic.update_rules.base import UpdateRule
from refusals import refused

from benchmarks import beside_torch, programs
from benchmarks import measurement as measurement_module
from benchmarks.measurement import Measurement, Program, compiled, copied_gigabytes_per_second, memory
from benchmarks.measurement import counted as all_counted
from benchmarks.measurement import total as all_total
from benchmarks.run import check_out, summary
from benchmarks.tables import report

ROOT = Path(__file__).parents[2]
N = 32
MATRIX = jnp.ones((N, N))
PRODUCT = 2 * N**3


def counted(program: jax.stages.Compiled) -> float:
    return all_counted(program)["flops"]


def flops(program: Program, whole: jax.stages.Compiled) -> float:
    return all_total(program, whole)["flops"]


class Hebbian(UpdateRule):
    """Costs enough to be counted and little to compile."""

    gain: jax.Array

    def update(self, phi: BaseModel, x: jax.Array) -> BaseModel:
        layer, y = phi.layers[0], phi.features(x)
        return BaseModel((layer._replace(W=layer.W + self.gain * x.T @ y),), phi.activation)


def test_a_matrix_product_and_a_convolution_count_what_they_cost() -> None:
    assert counted(compiled(jnp.matmul, MATRIX, MATRIX)) == PRODUCT
    rows, length, channels, width = 4, 20, 8, 3
    dimensions = ("NHC", "HIO", "NHC")
    convolve = partial(jax.lax.conv_general_dilated, window_strides=(1,), padding="SAME", dimension_numbers=dimensions)
    arguments = jnp.ones((rows, length, channels)), jnp.ones((width, channels, channels))
    # At either end one of the three taps lies in the padding.
    assert counted(compiled(convolve, *arguments)) == 2 * rows * channels**2 * (width * length - 2)


def test_what_runs_in_a_loop_counts_every_time_and_what_does_not_counts_once() -> None:
    def product_then_powers(factors: tuple[jax.Array, ...], a: jax.Array) -> jax.Array:
        def body(a: jax.Array, _: None) -> tuple[jax.Array, None]:
            for factor in factors:
                a = a @ factor
            return a, None

        return jax.lax.scan(body, a @ a, length=7)[0]

    program = Program(product_then_powers, ((MATRIX,), MATRIX), trips=7, around=((), MATRIX))
    assert flops(program, compiled(program.function, *program.arguments)) == pytest.approx(8 * PRODUCT, rel=1e-3)


def test_a_meta_gradient_counts_what_it_costs_unrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TASKS": 2, "STEPS": 10, "LABELLED": 6, "CLASSES": 3}.items():
        monkeypatch.setattr(programs, name, value)
    program = programs.meta_gradient(Hebbian(jnp.ones(())), (5, 4), batch=64)
    assert program.inner_steps == 20
    rolled = compiled(program.function, *program.arguments)
    with patch.object(jax.lax, "scan", partial(jax.lax.scan, unroll=True)):
        unrolled = compiled(lambda *arguments: program.function(*arguments), *program.arguments)
    assert counted(rolled) < 0.2 * counted(unrolled)
    # Unrolled, XLA drops the gradient of the first base model and shares work between steps.
    assert 1.0 < flops(program, rolled) / counted(unrolled) < 1.25


def test_shares_are_those_of_the_moment_and_memory_is_what_is_held() -> None:
    products = iter([1.0, 3.0, 10.0, 10.0, 4.0, 4.0])
    measurement = Measurement(Program(jnp.matmul, (MATRIX, MATRIX), inner_steps=5), lambda: next(products))
    for _ in range(3):
        measurement.round()
    measurement.seconds = [1.0, 20.0, 2.0]
    numbers = measurement.numbers()
    assert numbers["seconds"] == 2.0
    assert numbers["inner_steps_per_second"] == 2.5
    assert numbers["matrix_products"] == 0.5
    assert numbers["share"] == pytest.approx(PRODUCT / (0.5 * 2 * 2048**3))
    assert numbers["memory_mb"] == memory(measurement.compiled) / 1e6 >= 3 * MATRIX.nbytes / 1e6


def test_a_record_keeps_no_name_of_the_machine_and_becomes_tables() -> None:
    def numbers(seconds: float) -> dict[str, float]:
        names = (
            "gflop",
            "gflop_per_second",
            "inner_steps_per_second",
            "share",
            "gigabytes_per_second",
            "copied_gigabytes_per_second",
            "memory_mb",
            "product_gflop_per_second",
        )
        compiling = {"compile_seconds": 3.0, "compile_cpu_seconds": 4.0}
        return {"seconds": seconds, "matrix_products": 2 * seconds, **dict.fromkeys(names, 0.5), **compiling}

    raw = {
        "machine_info": {
            **{"node": "secret", "machine": "x86", "device": "cpu", "jax": "1", "python_version": "3"},
            "cpu": {"brand_raw": "A processor", "count": 2, "flags": ["secret"]},
        },
        "benchmarks": [
            {"extra_info": {"program": "inner step, published", "trees": [numbers(3.0), numbers(6.0)]}},
            {"extra_info": {"program": "inner step, compact", "trees": [numbers(2.0), numbers(1.0)]}},
            {"extra_info": {"program": "meta-gradient, compact", "trees": [numbers(2.0), numbers(2.0)]}},
        ],
    }
    record = summary(raw, ["new", "old"])
    assert "secret" not in json.dumps(record)
    lines = report(record).splitlines()
    assert "new relative to old:" in lines
    ratios = [line.replace(" ", "").split("|")[1:-1] for line in lines[-3:-1]]
    assert ratios[0] == ["innerstep,published", "0.50", "0.50", "1.00", "1.00", "1.00"]
    assert ratios[1] == ["innerstep,compact", "2.00", "2.00", "1.00", "1.00", "1.00"]
    assert "takes 1.5 times as long" in report(record)
    # 200,000 x 256 x 10 inner steps at half a step a second.
    assert "10 inner steps take 11,851.9 days (compact)." in report(record)


def test_memory_traffic_is_what_arguments_and_results_come_to() -> None:
    vector = jnp.ones(1000)
    measurement = Measurement(Program(lambda a, b: a + b, (vector, vector)), lambda: 1.0)
    measurement.round()
    numbers = measurement.numbers()
    assert numbers["gigabytes_per_second"] * numbers["seconds"] * 1e9 == pytest.approx(3 * vector.nbytes)


def test_the_yardstick_of_memory_counts_what_is_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([3.0, 2.0, 4.0, 2.5, 5.0])
    monkeypatch.setattr(measurement_module, "seconds", lambda call: next(taken))
    monkeypatch.setattr(measurement_module, "COPIED", 1000)
    assert copied_gigabytes_per_second() == pytest.approx(2 * 4000 / 2.0 / 1e9)


def test_beside_another_library_ratios_are_those_of_each_round() -> None:
    ours = [beside_torch.Taken(1.0, 2.0), beside_torch.Taken(2.0, 2.0), beside_torch.Taken(4.0, 2.0)]
    theirs = [beside_torch.Taken(3.0, 2.0), beside_torch.Taken(2.0, 4.0), beside_torch.Taken(8.0, 8.0)]
    expected = "| maml | 5.0 | 3.3 | 2.00 | 1.00 to 3.00 | 2.00 | 1.00 to 4.00 |"
    assert beside_torch.row("maml", ours, theirs, tasks=10) == expected


def test_turns_change_who_is_first_and_one_does_not_count() -> None:
    called: list[str] = []
    ours, theirs = beside_torch.in_turn(lambda: called.append("ours"), lambda: called.append("theirs"), 3)
    assert called == ["ours", "theirs", "theirs", "ours", "ours", "theirs", "theirs", "ours"]
    assert len(ours) == len(theirs) == 3


def test_without_the_other_library_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert refused(beside_torch.measure) == "PyTorch is not installed; install torch beside the project to measure it"


def test_an_unknown_revision_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^BASE: 'no-such-revision' is no revision of this repository$"):
        check_out("no-such-revision", tmp_path)
    assert "is no revision" in refused(check_out, "--output=x", tmp_path)
