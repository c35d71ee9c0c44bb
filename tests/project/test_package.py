"""The package: what its core needs, what extras bring, and the tools of a working day."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
from metaplastic.io.errors import EXTRAS, what_brings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _named(requirements: list[str]) -> set[str]:
    return {re.split(r"[>=<\[]", requirement)[0].lower() for requirement in requirements}


def _tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f".ci/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_core_works_without_what_extras_bring() -> None:
    program = f"""
import sys
for name in {sorted(EXTRAS)}:
    sys.modules[name] = None
import metaplastic, metaplastic.cli
core = "FewShotClassifier LearnedRule UpdateRule apply_rule meta_objective readout_accuracy intervals"
for name in core.split():
    getattr(metaplastic, name)
for name in ("meta_training", "read_zarr", "read_netcdf"):
    try:
        getattr(metaplastic, name)
    except ModuleNotFoundError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[2] == "metaplastic.read_netcdf: h5netcdf is not installed; run: pip install 'metaplastic[workflow]'"
    names = [line.split(":")[0] for line in lines]
    assert names == ["metaplastic.meta_training", "metaplastic.read_zarr", "metaplastic.read_netcdf"]


def test_a_command_names_the_extra_that_is_missing(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["pooch"] = sys.modules["zarr"] = None
sys.argv = ["metaplastic", "train", "mine.yaml", "--output", "mine.safetensors"]
from metaplastic.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    said = "error: zarr is not installed; run: pip install 'metaplastic[workflow]'\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize(
    ("package", "extra"), [("umap", "embeddings"), ("matplotlib", "figures"), ("optax", "workflow")]
)
def test_extras_are_named_by_what_they_bring(package: str, extra: str) -> None:
    line = what_brings(ModuleNotFoundError(name=f"{package}.inside"))
    assert line == f"{package} is not installed; run: pip install 'metaplastic[{extra}]'"
    assert what_brings(ModuleNotFoundError(name="jaxlib")) is None


def test_every_package_that_is_imported_is_of_the_core_or_of_the_extra_that_is_named() -> None:
    imported = set()
    for file in (ROOT / "rules_src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    core, brought = _named(PROJECT["dependencies"]), PROJECT["optional-dependencies"]
    provides = packages_distributions()
    for name in imported - set(sys.stdlib_module_names) - {"metaplastic"}:
        distributions = {distribution.lower() for distribution in provides.get(name, [name])}
        of_extra = _named(brought[EXTRAS[name]]) if name in EXTRAS else set()
        # These come with packages of the core.
        along = {"joblib", "markdown-it-py", "pandas", "pydantic_core", "pydantic-core"}
        assert distributions & (core | of_extra | along), name


def test_the_core_is_small_and_has_lower_bounds() -> None:
    assert len(PROJECT["dependencies"]) <= 15
    assert all(">=" in requirement for requirement in PROJECT["dependencies"])


def test_tests_of_an_edit_are_those_that_import_it() -> None:
    changed = _tool("changed")
    concerned = changed.imported(ROOT / "tests/test_apply.py")
    assert ROOT / "rules_src/metaplastic/apply.py" in concerned
    assert ROOT / "rules_src/metaplastic/few_shot/episodes.py" not in concerned


def test_a_release_has_its_entry_and_its_citation() -> None:
    release = _tool("release")
    version, date = release.released()
    assert version == PROJECT["version"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert release.cited(citation, version, date) == citation
    changed = release.cited(citation, "9.9", "2001-02-03").splitlines()
    assert {"version: 9.9", "date-released: 2001-02-03"} <= set(changed)
