import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rules_src.config.rules import Compact
from rules_src.errors import InputError
from rules_src.update_rules.compact import CompactRule, build
from rules_src.update_rules.theta import FORMAT, load_theta, read_spec, save_theta

SPEC = Compact(kind="compact", channels=4)


def _build() -> CompactRule:
    return build(SPEC, jax.random.key(0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "theta.safetensors"
    save_theta(build(SPEC, jax.random.key(7)), path, spec=SPEC.model_dump())
    return path


def _rewrite(path: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path, {"format": FORMAT, "rule": json.dumps(SPEC.model_dump())})


def test_a_round_trip_keeps_every_number_and_the_config(path: Path) -> None:
    saved, loaded = build(SPEC, jax.random.key(7)), load_theta(path, _build)
    assert read_spec(path) == SPEC.model_dump()
    assert jax.tree.structure(loaded) == jax.tree.structure(saved)
    for a, b in zip(jax.tree.leaves(saved), jax.tree.leaves(loaded), strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_are_those_of_the_rule_s_parts(path: Path) -> None:
    assert {"forward.mix.coefficients", "blocks.0.own.weight", "rate_logit"} <= set(load_file(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(rate_logit=np.array(np.nan, np.float32)), "rate_logit holds numbers that are not finite"),
        (lambda a: a.pop("rate_logit"), "lacks array 'rate_logit'"),
        (lambda a: a.update(extra=np.zeros(1, np.float32)), "has the unknown array 'extra'"),
        (lambda a: a.update(activity_in=np.zeros((3, 2), np.float32)), r"activity_in is float32\[3, 2\], the rule has"),
        (lambda a: a.update(rate_logit=np.array(0.0)), r"rate_logit is float64\[\], the rule has float32\[\]"),
    ],
    ids=["not finite", "missing", "unknown", "wrong shape", "wrong type"],
)
def test_a_wrong_array_is_named(path: Path, change: Callable[[dict[str, np.ndarray]], object], message: str) -> None:
    _rewrite(path, change)
    with pytest.raises(InputError, match=message):
        load_theta(path, _build)


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_a_truncated_file_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a readable theta file"):
        load_theta(path, _build)


def test_other_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": np.zeros(2)}, foreign)
    with pytest.raises(InputError, match="has no format"):
        read_spec(foreign)
    with pytest.raises(InputError, match="missing"):
        read_spec(tmp_path / "nothing.safetensors")
    # A header that claims more than the file holds must not be believed.
    foreign.write_bytes((2**40).to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError, match="not a readable theta file"):
        read_spec(foreign)
