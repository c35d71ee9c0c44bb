"""A rule that comes with the project, in a study: planned, drawn, and applied anew when its file changes."""

import os
import re

import pytest
import yaml
from checkout import Checkout

FILE = "data/pretrained/some-letters.safetensors"
STUDY = {"datasets": ["digits"], "rules": ["shipped", "oja"], "embeddings": []}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A finished one; planning reads nothing of the rule's file but that it is there."""
    study = Checkout(tmp_path_factory.mktemp("pretrained"))
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


def test_nothing_to_do(study: Checkout):
    assert study.pending() == set()


@pytest.mark.parametrize(
    "file", [FILE, "rules_src/metaplastic/update_rules/compact.py", "rules_src/metaplastic/update_rules/published.py"]
)
def test_its_file_and_code_make_it_anew_and_nothing_else(study: Checkout, file: str):
    with study.edited(file, append="\nunused = 1\n"):
        pending = study.pending()
    assert {name for name in pending if name.startswith("features/")} == {"features/small/shipped/digits"}
    assert not any(re.match("datasets/|features/small/oja", name) for name in pending)


def test_an_older_file_in_its_place_makes_it_anew(study: Checkout):
    with study.edited(FILE, append="2"):
        os.utime(study.folder / FILE, (10**9, 10**9))
        assert "features/small/shipped/digits" in study.pending()
    os.utime(study.folder / FILE, (10**9, 10**9))
    assert study.pending() == set()


def test_a_run_can_start_from_it_and_reads_its_file(study: Checkout):
    overlay = study.overlay(
        "studies: {default: {rules: [learned]}}\nmeta_train: {compact-letters: {start: some-letters}}"
    )
    dry_run = study.snakemake("--dry-run", "--configfile", overlay).stdout
    (job,) = re.findall(r"^rule meta_train_rule:\n    input: (.*)$", dry_run, re.MULTILINE)
    assert FILE in job.split(", ")


@pytest.mark.parametrize(
    ("overlay", "key"),
    [
        ("rules: {shipped: {name: some-lettres}}", "rules.shipped.name"),
        (
            "studies: {default: {rules: [learned]}}\nmeta_train: {compact-letters: {start: some-lettres}}",
            "meta_train.compact-letters.start",
        ),
    ],
)
def test_a_name_without_a_file_is_one_line(study: Checkout, overlay: str, key: str):
    overlay = study.overlay(overlay)
    done = study.snakemake("--dry-run", "--configfile", overlay, fails=True)
    error = done.stderr.splitlines()[-1]
    assert error.startswith(f"error: {key}: no pretrained rule 'some-lettres' in ")
    assert error.endswith("take one of: barb, generalist, pinion, quill, some-letters")
    assert "Traceback" not in done.stdout + done.stderr
