import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]


def test_a_wheel_holds_the_pretrained_rules_and_finds_them(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "rules_src", checkout / "rules_src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    rules = checkout / "data/pretrained"
    rules.mkdir(parents=True)
    (rules / "stand-in.safetensors").write_text("theta")
    (rules / "stand-in.md").write_text("A card.")
    (checkout / "data/raw").mkdir()
    (checkout / "data/raw/images.gz").touch()

    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        wheel.extractall(tmp_path / "site")
    assert {"rules_src/pretrained/stand-in.safetensors", "rules_src/pretrained/stand-in.md"} <= names
    assert {"rules_src/estimator.py", "rules_src/update_rules/theta.py"} <= names
    assert {name.split("/")[0].rsplit(".", 1)[-1] for name in names} == {"rules_src", "dist-info"}

    find = "from rules_src.update_rules.pretrained import pretrained_file as f; print(f('stand-in').read_text())"
    site = tmp_path / "site"
    done = subprocess.run([sys.executable, "-c", find], cwd=site, capture_output=True, text=True, check=False)
    assert done.stdout == "theta\n", done.stderr
