import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.network import BaseModel, Layer, initial_base_model
from metaplastic.update_rules.compact import LARGEST_RATE, CompactRule, build
from metaplastic.update_rules.spec import Compact
from metaplastic.update_rules.terms import TERMS, Signals, weight_terms
from metaplastic.update_rules.update_network import unit_identity

SPEC = Compact(kind="compact", channels=6, error_channels=3, readout_channels=2)


@pytest.fixture
def float64() -> object:
    with jax.enable_x64(True):
        yield


_update = eqx.filter_jit(CompactRule.update)


def _rule() -> CompactRule:
    """A rule with every part switched on: random mix and biases, so that no symmetry hides a mistake."""
    rule = build(SPEC, jax.random.key(3))
    leaves, structure = jax.tree.flatten(rule)
    keys = jax.random.split(jax.random.key(4), len(leaves))
    noisy = [leaf + 0.3 * jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, noisy)


def _setting(widths: tuple[int, ...] = (7, 6, 5), batch: int = 12) -> tuple[BaseModel, jax.Array]:
    phi = initial_base_model(jax.random.key(1), widths)
    return phi, jax.random.uniform(jax.random.key(2), (batch, widths[0]))


def _assert_close(a: BaseModel, b: BaseModel, tolerance: float) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance)


@pytest.mark.usefixtures("float64")
def test_the_order_of_examples_does_not_matter() -> None:
    rule, (phi, x) = _rule(), _setting()
    shuffled = x[jax.random.permutation(jax.random.key(5), len(x))]
    _assert_close(_update(rule, phi, x), _update(rule, phi, shuffled), 1e-10)


@pytest.mark.usefixtures("float64")
def test_permuting_units_permutes_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    rule, (phi, x) = _rule(), _setting()
    order = jax.random.permutation(jax.random.key(6), 6)
    below, above = phi.layers
    permuted = BaseModel(
        (Layer(below.W[:, order], below.b[order], below.V[:, order]), Layer(above.W[order], above.b, above.V[order])),
        phi.activation,
    )
    expected = _update(rule, phi, x)
    monkeypatch.setattr(
        "metaplastic.update_rules.compact.unit_identity",
        lambda units: unit_identity(units)[:, order] if units == 6 else unit_identity(units),
    )
    below, above = eqx.filter_jit(lambda: rule.update(permuted, x))().layers
    inverse = jnp.argsort(order)
    restored = BaseModel(
        (
            Layer(below.W[:, inverse], below.b[inverse], below.V[:, inverse]),
            Layer(above.W[inverse], above.b, above.V[inverse]),
        ),
        phi.activation,
    )
    _assert_close(restored, expected, 1e-10)


@pytest.mark.usefixtures("float64")
def test_permuting_inputs_leaves_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    rule, (phi, x) = _rule(), _setting()
    order = jax.random.permutation(jax.random.key(6), 7)
    below, above = phi.layers
    permuted = BaseModel((Layer(below.W[order], below.b, below.V[order]), above), phi.activation)
    expected = _update(rule, phi, x).features(x)
    monkeypatch.setattr(
        "metaplastic.update_rules.compact.unit_identity",
        lambda units: unit_identity(units)[:, order] if units == 7 else unit_identity(units),
    )
    moved = eqx.filter_jit(lambda: rule.update(permuted, x[:, order]))()
    np.testing.assert_allclose(moved.features(x[:, order]), expected, rtol=0, atol=1e-10)


def test_terms_are_what_their_formulas_say() -> None:
    rng = np.random.default_rng(0)
    batch, lower, upper, rank = 9, 5, 4, 2
    w, lower_x, upper_x = (rng.normal(size=s) for s in ((lower, upper), (batch, lower), (batch, upper)))
    lower_r, upper_r = rng.normal(size=(7, rank, batch, lower)), rng.normal(size=(8, rank, batch, upper))
    lower_signals = Signals.of(jnp.asarray(lower_x), jnp.asarray(lower_r.reshape(7 * rank, -1)), 7)
    upper_signals = Signals.of(jnp.asarray(upper_x), jnp.asarray(upper_r.reshape(8 * rank, -1)), 8)
    terms = dict(zip(TERMS, np.asarray(weight_terms(jnp.asarray(w), lower_signals, upper_signals)), strict=True))

    def low_rank(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return sum(a[r].T @ b[r] for r in range(rank)) / rank / batch

    def symmetric(m: np.ndarray) -> np.ndarray:
        s = (m + m.T) / np.sqrt(2)
        np.fill_diagonal(s, 0)
        return s / np.sqrt(len(s))

    us, ls = ((a - a.mean(0)) / np.sqrt(a.var(0) + 1e-6) for a in (upper_x, lower_x))
    decorrelated = w @ (us.T @ us) / batch / np.sqrt(upper)
    root = np.sqrt(1 + w**2) - 1
    expected = {
        "0_order": low_rank(lower_r[0], upper_r[0]),
        "1_order": w * low_rank(lower_r[1], upper_r[1]),
        "rbf": np.exp(-(w**2)) * low_rank(lower_r[2], upper_r[2]),
        "decorr_x": decorrelated / np.sqrt((decorrelated**2).mean() + 1e-8),
        "hebb": -ls.T @ us / batch,
        "large_decay": w**2 * np.sign(w),
        "lin_lower_symm": symmetric(low_rank(lower_r[3], lower_r[5])) @ w,
        "sqr_lower_symm": symmetric(low_rank(lower_r[4], lower_r[6])) @ root * np.sign(w),
        "lin_upper_symm": w @ symmetric(low_rank(upper_r[3], upper_r[6])),
        "sqr_upper_symm": root @ symmetric(low_rank(upper_r[4], upper_r[7])) * np.sign(w),
        "lin_upper_psd": w @ low_rank(upper_r[5], upper_r[5]) / np.sqrt(upper),
        "w_base": w,
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, atol=2e-5, err_msg=name)


def test_the_step_is_bounded_whatever_theta_is() -> None:
    rule, (phi, x) = _rule(), _setting()
    wild = eqx.tree_at(
        lambda r: (r.rate_logit, r.forward.mix.coefficients), rule, (jnp.array(50.0), 1e4 * jnp.ones(12))
    )
    moved = _update(wild, phi, x)
    for before, after in zip(phi.layers, moved.layers, strict=True):
        change = (after.W - (1 - LARGEST_RATE) * before.W) / LARGEST_RATE
        assert float(jnp.sqrt((change**2).mean(0)).max()) < 1.0 + 1 / 7 + 1e-3


@pytest.mark.parametrize(("activation", "widths"), [("step", (3, 2)), ("relu", (4, 9, 3, 5))])
def test_it_applies_to_any_width_depth_and_activation(activation: str, widths: tuple[int, ...]) -> None:
    rule = build(SPEC, jax.random.key(0))
    phi = initial_base_model(jax.random.key(1), widths, activation)
    moved = _update(rule, phi, jax.random.uniform(jax.random.key(2), (6, widths[0])))
    assert jax.tree.map(jnp.shape, moved.layers) == jax.tree.map(jnp.shape, phi.layers)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(moved))
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(phi), strict=True))
