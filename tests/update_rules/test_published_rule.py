import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.network import BaseModel, initial_base_model
from metaplastic.tools.replay import read_case, replay
from metaplastic.update_rules.published import Convolution, PublishedRule, build
from metaplastic.update_rules.spec import Published
from refusals import refused

DATA = Path(__file__).parents[1] / "data"
SPEC = Published(kind="published", features=4, channels=6, error_channels=3, readout_channels=2)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., dict[str, float]]]:
    """Replay a case in this process and return the worst error of each kind of quantity."""
    before = jax.config.jax_enable_x64

    def replayed(
        case: Path, precision: Literal["float64", "float32"] = "float64", *, code: int = 0
    ) -> dict[str, float]:
        with pytest.raises(SystemExit, match=f"^{code}$") if code else nullcontext():
            replay(case, precision)
        lines = (line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines())
        return {kind: float(worst) for kind, worst in lines}

    yield replayed
    jax.config.update("jax_enable_x64", before)


def _case(path: Path, *without: str, **factors: float) -> Path:
    """Write case A without arrays of these prefixes, and with some multiplied by a factor."""
    record = {name: array for name, array in read_case(DATA / "case_A.npz").items() if not name.startswith(without)}
    for name, factor in factors.items():
        record[name] = record[name] * np.asarray(factor, record[name].dtype)
    np.savez(path, **record)
    return path


def test_it_is_the_recorded_rule(said: Callable[..., dict[str, float]], tmp_path: Path) -> None:
    # Five steps contain the first.
    worst = said(_case(tmp_path / "case.npz", "f64/metagrad/k1/"))
    assert worst["change_w"] < 1e-12
    assert "meta-gradient 5" in worst


@pytest.mark.slow
@pytest.mark.parametrize(("case", "precision"), [("A", "float64"), ("B", "float64"), ("B", "float32")])
def test_it_is_the_recorded_rule_in_all_that_was_recorded(
    said: Callable[..., dict[str, float]], case: str, precision: str
) -> None:
    worst = said(DATA / f"case_{case}.npz", precision)
    assert worst["change_w"] < (1e-12 if precision == "float64" else 1e-5)
    assert ("meta-gradient 5" in worst) == (case == "A")


def test_a_slightly_different_rule_is_told_apart(said: Callable[..., dict[str, float]], tmp_path: Path) -> None:
    changed = {"theta/MoreLocalWeightUpdateProcess/linear/w": 1.0001}
    assert said(_case(tmp_path / "case.npz", "f64/metagrad/", **changed), code=1)["change_w"] > 1e-9


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "case.npz"
    broken.write_bytes((DATA / "case_B.npz").read_bytes()[:5000])
    assert "case.npz: missing or no readable .npz file " in refused(read_case, broken)
    np.savez(broken, something=np.zeros(3))
    command = [sys.executable, "-m", "metaplastic.tools.replay", str(broken)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not a whole recorded case" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("width", [3, 5])
def test_a_convolution_sums_over_neighbours(width: int) -> None:
    rng = np.random.default_rng(0)
    a, kernel, bias = rng.normal(size=(2, 7, 4)), rng.normal(size=(width, 4, 5)), rng.normal(size=5)
    padded = np.pad(a, ((0, 0), (width // 2, width // 2), (0, 0)))
    expected = sum(padded[:, tap : tap + 7] @ kernel[tap] for tap in range(width)) + bias
    result = Convolution(jnp.asarray(kernel), jnp.asarray(bias))(jnp.asarray(a))
    np.testing.assert_allclose(result, expected, atol=1e-5)


def _setting() -> tuple[BaseModel, jax.Array]:
    phi = initial_base_model(jax.random.key(1), (5, 6, 4))
    return phi, jax.random.uniform(jax.random.key(2), (8, 5))


def test_without_sharing_v_changes_by_its_own_weights_and_readouts() -> None:
    rule = build(SPEC.model_copy(update={"shared_backward": False}), jax.random.key(0))
    assert rule.backward is not None
    phi, x = _setting()
    update = eqx.filter_jit(PublishedRule.update)
    same = eqx.tree_at(lambda r: r.backward, rule, rule.forward)
    twin = BaseModel(tuple(layer._replace(V=layer.W) for layer in phi.layers), phi.activation)
    for layer in update(same, twin, x).layers:
        np.testing.assert_allclose(layer.V, layer.W, atol=1e-8)
    for own, shared in zip(update(rule, twin, x).layers, update(same, twin, x).layers, strict=True):
        np.testing.assert_allclose(own.W, shared.W, atol=1e-8)
        assert float(jnp.abs(own.V - shared.V).max()) > 1e-7


def test_a_dead_unit_and_a_constant_input_leave_value_and_gradient_finite() -> None:
    rule = build(SPEC, jax.random.key(0))
    phi, x = _setting()
    x = x.at[:, 0].set(0.5)
    phi = BaseModel((phi.layers[0]._replace(b=phi.layers[0].b.at[1].set(-9.0)), phi.layers[1]), phi.activation)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def loss(rule: PublishedRule) -> jax.Array:
        return sum(leaf.sum() for leaf in jax.tree.leaves(rule.update(phi, x)))

    value, gradient = loss(rule)
    assert jnp.isfinite(value)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
