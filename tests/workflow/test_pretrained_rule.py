"""A rule that comes with the project, in a study: planned, drawn, and applied anew when its file changes."""

import os
import re

import pytest
import yaml
from checkout import Checkout
from plans import plan_of
from refusals import refused

FILE = "data/pretrained/some-letters.safetensors"
STUDY = {"datasets": ["digits"], "rules": ["shipped", "oja"], "embeddings": []}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A finished one; planning reads nothing of the rule's file but that it is there."""
    study = Checkout(tmp_path_factory.mktemp("pretrained"), own=True)
    config = study.folder / "config/config.yaml"
    whole = yaml.safe_load(config.read_text())
    whole["studies"]["default"] |= STUDY
    whole["rules"]["shipped"] = {"kind": "pretrained", "name": "some-letters"}
    config.write_text(yaml.safe_dump(whole))
    (study.folder / FILE).write_text("theta")
    study.finish()
    return study


def test_it_is_applied_without_meta_training(study: Checkout):
    jobs = study.jobs("--forceall")
    assert (jobs["apply_rule"], jobs["apply_hand_made_rule"]) == (1, 1)
    assert "meta_train_rule" not in jobs
    assert "studies/default/figures/first_layer_filters" in {str(path.with_suffix("")) for path in study.outputs()}


def _is_alone(pending: set[str]) -> bool:
    features = {name for name in pending if name.startswith("features/")}
    return features == {"features/small/shipped/digits"} and not any(name.startswith("datasets/") for name in pending)


@pytest.mark.parametrize("module", ["compact", "published"])
def test_its_code_makes_it_anew_and_nothing_else(study: Checkout, module: str):
    with study.edited(f"rules_src/metaplastic/update_rules/{module}.py", append="\nunused = 1\n"):
        assert _is_alone(study.pending())


def test_an_older_file_in_its_place_makes_it_anew_and_nothing_else(study: Checkout):
    with study.edited(FILE, append="2"):
        os.utime(study.folder / FILE, (10**9, 10**9))
        assert _is_alone(study.pending())
    os.utime(study.folder / FILE, (10**9, 10**9))
    assert study.pending() == set()


def test_a_run_can_start_from_it_and_reads_its_file(study: Checkout):
    overlay = study.overlay(
        "studies: {default: {rules: [learned]}}\nmeta_train: {compact-letters: {start: some-letters}}"
    )
    dry_run = study.snakemake("--dry-run", "--configfile", overlay).stdout
    (job,) = re.findall(r"^rule meta_train_rule:\n    input: (.*)$", dry_run, re.MULTILINE)
    assert FILE in job.split(", ")


def test_a_name_without_a_file_is_one_line(study: Checkout):
    start = "studies: {default: {rules: [learned]}}\nmeta_train: {compact-letters: {start: some-lettres}}"
    error = study.error("--configfile", study.overlay(start))
    assert error.startswith("error: meta_train.compact-letters.start: no pretrained rule 'some-lettres' in ")
    assert error.endswith("take one of: barb, generalist, pinion, quill, some-letters")
    said = refused(plan_of("rules: {shipped: {kind: pretrained, name: some-lettres}}").theta, "shipped")
    assert said.startswith("rules.shipped.name: no pretrained rule 'some-lettres' in ")
