"""The documentation: its links lead somewhere, its code is code, its tutorials do what they say."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from metaplastic.config.load import load
from tutorials import BLOCK, TUTORIALS, blocks

from workflow.plan_experiments import FIGURES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "config/README.md"])
FILE = re.compile(r"`((?:docs|config|data|rules_src|tests|workflow)/[\w./-]+\.(?:md|yaml|py|smk|json|safetensors))`")


def _pages(pages: list[Path]) -> list[object]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _pages(PAGES))
def test_links_and_named_files_are_there(page: Path) -> None:
    text = BLOCK.sub("", page.read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match("https?:", link):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in _anchors(target), link
    written = {"rules_src/metaplastic/update_rules/unbiased.py"}
    for named in set(FILE.findall(text)) - written:
        # ARCHITECTURE.md calls modules by their place in the package.
        assert (ROOT / named).exists() or (ROOT / "rules_src/metaplastic" / named).exists(), named


@pytest.mark.parametrize("page", _pages(PAGES))
def test_code_is_code(page: Path) -> None:
    for language, _, text in blocks(page):
        if language == "python":
            ast.parse(text)
        elif language == "yaml":
            yaml.safe_load(text)
        elif language == "bash":
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def _followed(page: str, folder: Path) -> str:
    """What a tutorial's blocks print, run in their order, each language going on where it was."""
    script = []
    for language, title, text in blocks(TUTORIALS / page):
        if title:
            continue
        if language == "python":
            script.append(text)
        elif language == "bash":
            script.append(f"import subprocess\nsubprocess.run({text!r}, shell=True, check=True)\n")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-c", "\n".join(script)]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_features_of_a_table(tmp_path: Path) -> None:
    printed = _followed("features.md", tmp_path)
    columns, features = (
        int(share) for share in re.findall(r"^(?:columns|features): (\d+)% right", printed, re.MULTILINE)
    )
    assert columns > features > 33


def test_episodes_of_cactus(tmp_path: Path) -> None:
    printed = _followed("cactus.md", tmp_path)
    assert "of their cluster's commonest digit" in printed
    assert "of the queries" in printed


def _default() -> dict[str, object]:
    return dict(yaml.safe_load((ROOT / "config/config.yaml").read_text()))


def test_every_figure_of_the_paper_is_listed_with_what_draws_it() -> None:
    config = load(_default())
    rows = re.findall(r"^\| (\d) \| `(\w+)` \| `([\w-]+)` \| `([\w-]+)` \| (.*) \|$", _figures(), re.MULTILINE)
    assert {experiment for _, _, experiment, _, _ in rows} == set(FIGURES)
    for number, target, experiment, study, drawn in rows:
        assert target == FIGURES[experiment] == f"figure_{number}"
        assert config.studies[study].experiment == experiment
        assert re.findall(r"`(\w+)`", drawn) == config.studies[study].figures


def _figures() -> str:
    return (ROOT / "docs/figures.md").read_text()
