from pathlib import Path

import jax
import numpy as np
import pytest
from metaplastic.io.errors import InputError
from metaplastic.tools.average_theta import average
from metaplastic.update_rules.compact import build
from metaplastic.update_rules.spec import Compact
from metaplastic.update_rules.theta import save_theta, trained_rule
from safetensors.numpy import load_file

RULE = Compact(kind="compact", channels=3, error_channels=2, readout_channels=1)


def theta(path: Path, key: int, rule: Compact = RULE) -> Path:
    save_theta(build(rule, jax.random.key(key)), path, spec=rule.model_dump(mode="json"))
    return path


def test_a_theta_that_is_named_twice_counts_twice(tmp_path):
    files = [theta(tmp_path / f"{key}.safetensors", key) for key in (0, 1)]
    average([files[0], files[1], files[1]], tmp_path / "mean.safetensors")
    assert trained_rule(tmp_path / "mean.safetensors")[0] == RULE
    one, other, mean = map(load_file, [*files, tmp_path / "mean.safetensors"])
    assert mean.keys() == one.keys()
    for name, array in mean.items():
        np.testing.assert_allclose(array, (one[name] + 2 * other[name]) / 3, rtol=1e-5, atol=1e-7)


def test_thetas_of_two_configs_are_one_line(tmp_path):
    files = [
        theta(tmp_path / "a.safetensors", 0),
        theta(tmp_path / "b.safetensors", 0, RULE.model_copy(update={"channels": 4})),
    ]
    with pytest.raises(
        InputError, match=r"b\.safetensors: of another config than .*a\.safetensors; only thetas of one"
    ):
        average(files, tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()
