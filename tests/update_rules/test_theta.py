import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from metaplastic.io.errors import InputError
from metaplastic.update_rules import theta
from metaplastic.update_rules.compact import build
from metaplastic.update_rules.spec import Compact, Learned, Polynomial
from metaplastic.update_rules.theta import FORMAT, built_rule, save_theta, trained_rule
from refusals import refused
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

SPEC = Compact(kind="compact", channels=4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "theta.safetensors"
    save_theta(build(SPEC, jax.random.key(7)), path, spec=SPEC.model_dump())
    return path


def _rewrite(path: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path, {"format": FORMAT, "rule": json.dumps(SPEC.model_dump())})


@pytest.mark.parametrize("spec", [SPEC, Polynomial(kind="polynomial", initial_rate=0.5)], ids=lambda spec: spec.kind)
def test_a_round_trip_keeps_every_number_and_the_config(path: Path, spec: Learned) -> None:
    saved = built_rule(spec, jax.random.key(7))
    save_theta(saved, path, spec=spec.model_dump())
    read, loaded = trained_rule(path)
    assert read == spec
    with safe_open(path, "numpy") as file:
        assert json.loads(file.metadata()["rule"]) == spec.model_dump()
    assert jax.tree.structure(loaded) == jax.tree.structure(saved)
    for a, b in zip(jax.tree.leaves(saved), jax.tree.leaves(loaded), strict=True):
        np.testing.assert_array_equal(a, b)


def test_double_precision_elsewhere_changes_no_byte_and_reads_every_file(path: Path) -> None:
    save_theta(built_rule(SPEC, jax.random.key(7)), path, spec=SPEC.model_dump())
    content = path.read_bytes()
    with jax.enable_x64(True):
        save_theta(built_rule(SPEC, jax.random.key(7)), path, spec=SPEC.model_dump())
        _, loaded = trained_rule(path)
        assert {leaf.dtype.name for leaf in jax.tree.leaves(loaded)} == {"float32"}
    assert path.read_bytes() == content


def test_names_are_those_of_the_rule_s_parts(path: Path) -> None:
    assert {"forward.mix.coefficients", "blocks.0.own", "rate_logit"} <= set(load_file(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(rate_logit=np.array(np.nan, np.float32)), "rate_logit holds numbers that are not finite"),
        (lambda a: a.pop("rate_logit"), r"rate_logit is missing, its rule has float32\[\]"),
        (lambda a: a.update(extra=np.zeros(1, np.float32)), r"extra is float32\[1\], its rule has no such array"),
        (lambda a: a.update(activity_in=np.zeros((3, 2), np.float32)), r"activity_in is float32\[3, 2\], its rule has"),
        (lambda a: a.update(rate_logit=np.array(0.0)), r"rate_logit is float64\[\], its rule has float32\[\]"),
    ],
    ids=["not finite", "missing", "unknown", "wrong shape", "wrong type"],
)
def test_a_wrong_array_is_named(path: Path, change: Callable[[dict[str, np.ndarray]], object], message: str) -> None:
    _rewrite(path, change)
    with pytest.raises(InputError, match=message):
        trained_rule(path)


def test_every_single_bit_counts(path: Path) -> None:
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for place, bit in zip(rng.permutation(len(whole))[:40], rng.integers(0, 8, 40), strict=True):
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        refused(trained_rule, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: header["__metadata__"].update(sha256="0" * 64), "changed since it was written); meta-train or"),
        (lambda header: header["__metadata__"].update(sha257="0"), "its header has the unknown key 'sha257'"),
        (
            lambda header: header["__metadata__"].update(rule=json.dumps(SPEC.model_dump() | {"initial_rate": 0.04})),
            "changed since it was written",
        ),
    ],
    ids=["sum", "key", "config"],
)
def test_a_changed_header_is_refused(path: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    content = path.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:size])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[size:])
    assert f"theta.safetensors: not a readable theta file ({message}" in refused(trained_rule, path)


def test_a_file_of_an_earlier_version_is_taken_with_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained_rule(path)
    assert not caplog.messages
    _rewrite(path, lambda arrays: None)
    _, loaded = trained_rule(path)
    assert caplog.messages == [f"{path}: of an earlier version, without a checksum; damage to it would not be noticed"]
    np.testing.assert_array_equal(loaded.error_in, build(SPEC, jax.random.key(7)).error_in)


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_a_truncated_file_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    assert "not a readable theta file" in refused(trained_rule, path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    for metadata in (None, {"format": ""}):
        save_file({"a": np.zeros(2)}, foreign, metadata)
        assert "has no format" in refused(trained_rule, foreign)
    assert "missing" in refused(trained_rule, tmp_path / "nothing.safetensors")
    # A header that claims more than the file holds must not be believed.
    foreign.write_bytes((2**40).to_bytes(8, "little") + b"{}")
    assert "not a readable theta file" in refused(trained_rule, foreign)


def _forged(path: Path, rule: str) -> Path:
    """The file with another config in its header."""
    save_file(load_file(path), path, {"format": FORMAT, "rule": rule})
    return path


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ('{"kind": "compact", "channels": 1000000000}', "compact.channels: Input should be less than or equal to 4096"),
        ('{"kind": "published", "features": 1000000000}', "published.features: Input should be less than or equal"),
        ('{"kind": "compact", "channels": ' + "9" * 5000 + "}", "not a readable theta file"),
        ('{"kind": "compact", "channels": -1}', "compact.channels: Input should be greater than 0"),
        ('{"kind": "compact", "initial_rate": NaN}', "compact.initial_rate: Input should be"),
        ('{"kind": "oja"}', "section: Input tag 'oja' found using 'kind' does not match"),
        ('{"kind": "compact", "module": "os"}', "compact.module: Extra inputs are not permitted"),
        ("[" * 100_000, "not a readable theta file"),
        ("[1, 2]", "not a readable theta file"),
        ("{", "not a readable theta file"),
        ("[" + "0," * 200_000 + "0]", "not a readable theta file .a header of 4[0-9]{5} bytes"),
    ],
    ids=lambda text: text[:40],
)
def test_a_config_that_no_rule_should_be_made_from(path: Path, rule: str, message: str) -> None:
    _forged(path, rule)
    said = refused(trained_rule, path)
    assert re.search(message, said)
    assert len(said) < 400


def test_the_largest_config_is_compared_without_being_allocated(path: Path) -> None:
    widths = {"features": 4096, "channels": 4096, "error_channels": 4096, "readout_channels": 4096}
    _forged(path, json.dumps({"kind": "published", **widths}))
    with pytest.raises(InputError, match=r"activity_in is .*, its rule has no such array"):
        trained_rule(path)


@pytest.mark.parametrize("shape", [[2**62], [2**40, 2**40], [4]])
def test_a_header_that_claims_more_than_the_file_holds(path: Path, shape: list[int]) -> None:
    header = {
        "__metadata__": {"format": FORMAT, "rule": json.dumps(SPEC.model_dump())},
        "rate_logit": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]},
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    assert "not a readable theta file" in refused(trained_rule, path)


def test_a_type_that_numpy_lacks_is_named(path: Path) -> None:
    header = {
        name: {"dtype": "BF16", "shape": [], "data_offsets": [2 * i, 2 * i + 2]}
        for i, name in enumerate(load_file(path))
    }
    text = json.dumps({"__metadata__": {"format": FORMAT, "rule": json.dumps(SPEC.model_dump())}} | header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(2 * len(header)))
    assert "activity_in is BF16[], its rule has float32[4, 2]" in refused(trained_rule, path)


def test_a_file_exchanged_while_it_is_read_is_taken_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = jax.tree.leaves(trained_rule(path)[1])
    other, build_rule = path.with_name("other.safetensors"), theta.initial_rule
    save_theta(build(SPEC, jax.random.key(8)), other, spec={**SPEC.model_dump(), "initial_rate": 0.1})

    def exchanging(spec: Compact) -> Any:
        if other.exists():
            other.replace(path)
        return build_rule(spec)

    monkeypatch.setattr(theta, "initial_rule", exchanging)
    spec, rule = trained_rule(path)
    assert spec == SPEC
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(rule), before)


def test_a_file_of_many_bytes_is_not_read(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(2**40)
    assert "theta files have at most" in refused(trained_rule, path)
