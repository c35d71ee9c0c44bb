"""The guides that take the workflow, followed in a checkout."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, Checkout
from guides import GUIDES, blocks


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    checkout = Checkout(tmp_path)
    shutil.copy(ROOT / "config/config.yaml", tmp_path / "config/config.yaml")
    return checkout


def _snakemake(checkout: Checkout, *arguments: str) -> str:
    """What it prints in a process of its own, which has no other rules imported than the checkout's."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(command, cwd=checkout.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _files(page: str) -> dict[str, str]:
    """What a guide says is to stand in files."""
    return {title: text for _, title, text in blocks(GUIDES / page) if title}


def _new_rule(checkout: Checkout) -> None:
    """Do to a checkout what the guide says."""
    files = _files("new-rule.md")
    config = checkout.folder / "rules_src/metaplastic/update_rules/spec.py"
    section = files.pop("rules_src/metaplastic/update_rules/spec.py")
    text = config.read_text()
    assert text.count("class Published(") == 1
    config.write_text(text.replace("class Published(", f"{section}\n\nclass Published("))
    for name, content in files.items():
        assert not (checkout.folder / name).exists()
        (checkout.folder / name).write_text(content)


def _cactus(checkout: Checkout) -> None:
    for name, content in _files("few-shot.md").items():
        (checkout.folder / name).write_text(content)


def test_a_new_rule_is_planned_with_its_runs(fresh: Checkout) -> None:
    _new_rule(fresh)
    planned = _snakemake(fresh, "unbiased", "--configfile", "unbiased.yaml", "--dry-run", "--quiet", "rules")
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", planned, re.MULTILINE))
    assert (jobs["meta_train_rule"], jobs["apply_rule"], jobs["draw_figure"]) == ("2", "2", "2")


def test_cactus_on_characters_is_planned(fresh: Checkout) -> None:
    _cactus(fresh)
    jobs = fresh.jobs("few_letters", "--configfile", "few-letters.yaml")
    assert (jobs["partition"], jobs["meta_learn"], jobs["evaluate_episodes"]) == (1, 1, 1)


@pytest.mark.slow
def test_a_new_rule_s_curves_stand_beside_the_old_one_s(fresh: Checkout) -> None:
    _new_rule(fresh)
    _snakemake(fresh, "unbiased", "--configfile", "unbiased.yaml")
    results = fresh.folder / "results/unbiased/studies/unbiased"
    assert ": without-bias |" in (results / "table.md").read_text()
    drawn = (results / "figures/meta_training_curves.svg").read_text()
    assert "with-bias" in drawn
    assert "without-bias" in drawn


@pytest.mark.slow
def test_the_study_of_cactus_has_its_table(fresh: Checkout) -> None:
    _cactus(fresh)
    fresh.snakemake("few_letters", "--configfile", "few-letters.yaml")
    assert "| ProtoNets | pca |" in (fresh.folder / "results/studies/few-letters/table.md").read_text()
