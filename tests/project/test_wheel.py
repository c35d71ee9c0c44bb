import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    checkout = folder / "checkout"
    shutil.copytree(ROOT / "rules_src", checkout / "rules_src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    rules = checkout / "data/pretrained"
    shutil.copytree(ROOT / "data/pretrained", rules)
    (rules / "stand-in.safetensors").write_text("theta")
    (rules / "stand-in.md").write_text("A card.")
    (checkout / "data/raw").mkdir()
    (checkout / "data/raw/images.gz").touch()

    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel alone was installed into; what it depends on is that of the tests."""
    site = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(command, check=True)
    return site


def _run(installed: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of that wheel, not of the checkout, in `folder`."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_wheel_holds_the_pretrained_rules_and_finds_them(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as opened:
        names = set(opened.namelist())
        opened.extractall(tmp_path / "site")
    assert {"metaplastic/pretrained/stand-in.safetensors", "metaplastic/pretrained/stand-in.md"} <= names
    assert {"metaplastic/estimator.py", "metaplastic/update_rules/theta.py"} <= names
    assert {"metaplastic/__init__.py", "metaplastic/py.typed"} <= names
    assert {name.split("/")[0].rsplit(".", 1)[-1] for name in names} == {"metaplastic", "dist-info"}

    find = "from metaplastic.update_rules.pretrained import pretrained_file as f; print(f('stand-in').read_text())"
    site = tmp_path / "site"
    done = subprocess.run([sys.executable, "-c", find], cwd=site, capture_output=True, text=True, check=False)
    assert done.stdout == "theta\n", done.stderr


def test_the_readme_s_lines_run_on_an_installed_wheel_and_print_what_it_says(installed: Path, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    lines, said = (readme.split(f"```{language}\n")[1].split("```")[0] for language in ("python", "text"))
    lines += "import metaplastic\nprint(metaplastic.__file__, features.shape)\n"
    done = _run(installed, tmp_path, sys.executable, "-c", lines)
    assert done.returncode == 0, done.stderr
    *found, last = done.stdout.splitlines()
    file, _, shape = last.partition(" (")
    assert Path(file).is_relative_to(installed)
    assert shape == "1797, 32)"
    # Another processor rounds otherwise, which takes the features elsewhere by less than a point.
    scores = [re.findall(r"^(\w+): (\d+)% (.*)$", text, re.MULTILINE) for text in (said, "\n".join(found))]
    expected, measured = ([int(share) for _, share, _ in score] for score in scores)
    assert measured == pytest.approx(expected, abs=2)
    assert [(name, rest) for name, _, rest in scores[1]] == [(name, rest) for name, _, rest in scores[0]]


@pytest.mark.slow
def test_the_command_makes_features_on_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    rows = [f"{i % 7},{i * i % 11},{'odd' if i % 2 else 'even'}" for i in range(30)]
    (tmp_path / "mine.csv").write_text("\n".join(["a,b,kind", *rows]))
    sizes = ("--label", "kind", "--inner-steps", "2", "--hidden", "4", "--features", "3")
    done = _run(installed, tmp_path, str(installed / "bin/metaplastic"), "features", "mine.csv", "out.csv", *sizes)
    assert done.returncode == 0, done.stderr
    assert "2 inner steps on batches of 64 of 30 rows" in done.stdout
    written = (tmp_path / "out.csv").read_text().splitlines()
    assert written[0] == '"learnedrule0","learnedrule1","learnedrule2","kind"'
    assert [line.rsplit(",", 1)[1] for line in written[1:]] == ['"even"', '"odd"'] * 15
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv", "out.csv"]
