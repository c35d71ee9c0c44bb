"""The public names of the package."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import metaplastic
import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", metaplastic.__all__)
def test_every_public_name_is_what_its_module_defines_and_is_documented(name: str) -> None:
    found = getattr(metaplastic, name)
    path = found.__name__ if isinstance(found, type(sys)) else f"{found.__module__}.{found.__name__}"
    assert path == f"metaplastic.{metaplastic._HOME_OF[name]}.{name}"
    assert f"::: {path}\n" in (ROOT / "docs/api.md").read_text() + "\n"


def test_no_public_name_is_that_of_a_module_beside_it() -> None:
    assert len(metaplastic.__all__) == len(set(metaplastic.__all__)) > 15
    for name in metaplastic.__all__:
        assert importlib.util.find_spec(f"metaplastic.{name}") is None


def test_importing_the_package_imports_no_jax_and_dir_lists_the_names() -> None:
    program = """
import sys, metaplastic
assert set(metaplastic.__all__) < set(dir(metaplastic))
assert not {"jax", "sklearn", "xarray"} & set(sys.modules)
metaplastic.MetaTrain, metaplastic.Apply
import metaplastic.cli
assert not {"jax", "sklearn"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"^module 'metaplastic' has no attribute 'LearnedRules'$"):
        metaplastic.LearnedRules  # noqa: B018
