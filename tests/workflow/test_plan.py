import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, Checkout

from rules_src.config.study import RULES


@pytest.mark.parametrize(
    ("config", "counts"),
    [
        ("config", {"prepare_dataset": 4, "apply_rule": 9, "apply_hand_made_rule": 9, "embed": 21, "draw_figure": 4}),
        ("smoke", {"prepare_dataset": 3, "apply_rule": 2, "apply_hand_made_rule": 2, "embed": 4, "draw_figure": 4}),
        ("pretrain", {"prepare_dataset": 3, "apply_rule": 1, "apply_hand_made_rule": 1, "embed": 1, "draw_figure": 4}),
    ],
)
def test_each_config_plans_its_jobs(checkout: Checkout, config: str, counts: dict[str, int]):
    evaluated = sum(counts[rule] for rule in ("apply_rule", "apply_hand_made_rule", "embed"))
    once = {"meta_train_rule": 1, "summarise": 1, "all": 1, "evaluate_few_shot": evaluated}
    assert checkout.jobs("--configfile", f"config/{config}.yaml") == counts | once


def test_the_paper_s_studies_are_planned_in_time_and_share_what_they_have_in_common(checkout: Checkout):
    start = time.monotonic()
    jobs = checkout.jobs("--configfile", "config/paper.yaml")
    assert time.monotonic() - start < 10
    # Three datasets of seven embeddings, each once whatever the number of base models.
    assert (jobs["embed"], jobs["meta_train_rule"], jobs["summarise"]) == (21, 1, 2)


def test_architectures_are_no_cube_of_jobs(checkout: Checkout):
    jobs = checkout.jobs("architectures", "--configfile", "config/paper.yaml")
    assert (jobs["apply_rule"], jobs["apply_hand_made_rule"], jobs["evaluate_few_shot"]) == (21, 21, 43)
    assert sum(jobs.values()) <= 150


def test_the_shipped_rule_s_architectures_need_no_meta_training(checkout: Checkout):
    jobs = checkout.jobs("--configfile", "config/architectures.yaml")
    counts = {"apply_rule": 19, "apply_hand_made_rule": 19, "evaluate_few_shot": 38, "draw_figure": 1}
    assert jobs == counts | dict.fromkeys(("prepare_dataset", "summarise", "all"), 1)


def figures(checkout: Checkout) -> tuple[str, ...]:
    """Options of the config of the paper's figures, whose snapshots are of the default study's run."""
    default = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    return (
        "--configfile",
        checkout.overlay(yaml.safe_dump({"meta_train": default["meta_train"]})),
        "config/figures.yaml",
    )


def test_a_figure_of_the_paper_is_a_study_of_its_own(checkout: Checkout):
    once = dict.fromkeys(("summarise", "draw_figure", "figure_2"), 1)
    assert checkout.jobs("figure_2", *figures(checkout)) == {
        "prepare_dataset": 2,
        "embed": 2,
        "evaluate_few_shot": 2,
        **once,
    }


def test_components_are_drawn_where_a_study_lists_them(checkout: Checkout):
    jobs = checkout.jobs("figure_6", *figures(checkout))
    assert (jobs["prepare_dataset"], jobs["apply_rule"], jobs["draw_figure"]) == (2, 2, 2)
    assert "meta_train_rule" not in jobs


def test_meta_training_curves_apply_snapshots_to_any_dataset(checkout: Checkout):
    jobs = checkout.jobs("figure_3", *figures(checkout))
    # One run at its seeds, five of its snapshots on four datasets beside the network as it was drawn.
    counts = {
        "meta_train_rule": 5,
        "apply_rule": 20,
        "apply_hand_made_rule": 4,
        "evaluate_few_shot": 24,
        "draw_figure": 1,
    }
    assert {rule: jobs[rule] for rule in counts} == counts


def test_a_study_that_meta_trains_nothing_draws_only_what_it_has(checkout: Checkout):
    jobs = checkout.jobs("--configfile", "config/text.yaml")
    assert "meta_train_rule" not in jobs
    assert (jobs["apply_rule"], jobs["apply_hand_made_rule"]) == (4, 6)
    assert (jobs["evaluate_few_shot"], jobs["draw_figure"]) == (16, 2)


@pytest.mark.parametrize("config", ["both-rules", "pretrain-gpu"])
def test_two_runs_are_drawn_side_by_side(checkout: Checkout, config: str):
    jobs = checkout.jobs("--configfile", f"config/{config}.yaml")
    assert (jobs["meta_train_rule"], jobs["draw_figure"]) == (2, 5)


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        ("datasets", {"prepare_dataset": 3}),
        ("meta_train", {"prepare_dataset": 3, "meta_train_rule": 1}),
        (
            "apply",
            {"prepare_dataset": 4, "meta_train_rule": 1, "apply_rule": 9, "apply_hand_made_rule": 9, "embed": 21},
        ),
    ],
)
def test_each_stage_is_a_target(checkout: Checkout, target: str, counts: dict[str, int]):
    assert checkout.jobs(target) == counts | {target: 1}


TWO = """
studies:
  two-kinds: {datasets: [digits], base_models: [small], rules: [oja], few_shot: {shots: [2]}, figures: [few_shot_bars]}
  pixels: {datasets: [digits], embeddings: [raw]}
"""


def test_each_study_is_a_target_and_keeps_its_results_apart(checkout: Checkout):
    overlay = ("--configfile", checkout.overlay(TWO))
    jobs = checkout.jobs("two_kinds", *overlay)
    assert jobs == {
        **dict.fromkeys(("prepare_dataset", "apply_hand_made_rule", "evaluate_few_shot", "summarise"), 1),
        **dict.fromkeys(("draw_figure", "two_kinds"), 1),
    }
    assert checkout.jobs("pixels", *overlay)["embed"] == 1
    plan = checkout.snakemake("--dry-run", "--printshellcmds", "two_kinds", "pixels", *overlay).stdout
    for study in ("two-kinds", "pixels"):
        assert f"results/studies/{study}/table.md" in plan
    assert '"shots":[2]' in plan


@pytest.mark.parametrize(
    ("figure", "why"),
    [("first_layer_filters", "has nothing to show in this study"), ("few_shot_bar", "is no figure")],
)
def test_a_figure_that_cannot_be_drawn_ends_with_one_line(checkout: Checkout, figure: str, why: str):
    overlay = checkout.overlay(f"studies: {{pixels: {{datasets: [digits], embeddings: [raw], figures: [{figure}]}}}}")
    done = checkout.snakemake("--dry-run", "--configfile", overlay, fails=True)
    expected = f"error: studies.pixels.figures: '{figure}' {why}; valid: few_shot_bars"
    assert done.stderr.splitlines()[-1] == expected


def test_no_study_can_have_the_name_of_a_rule(checkout: Checkout):
    lines = checkout.snakemake("--list-rules").stdout.splitlines()
    assert {line.split()[0] for line in lines if line and not line.startswith(" ")} - {"default"} == RULES


def test_a_study_without_rules_or_without_embeddings(checkout: Checkout):
    only_rules = checkout.jobs("--configfile", checkout.overlay("studies: {default: {rules: [oja], embeddings: []}}"))
    assert only_rules.keys().isdisjoint({"embed", "meta_train_rule"})
    assert only_rules["draw_figure"] == 2
    only_embeddings = checkout.jobs(
        "--configfile", checkout.overlay("studies: {default: {rules: [], embeddings: [pca]}}")
    )
    assert only_embeddings.keys().isdisjoint({"apply_rule", "apply_hand_made_rule", "meta_train_rule"})
    assert only_embeddings["draw_figure"] == 1


def test_results_go_where_the_config_says(checkout: Checkout):
    plan = checkout.snakemake("--dry-run", "--configfile", checkout.overlay("results: elsewhere/deep")).stdout
    assert "elsewhere/deep/studies/default/summary.nc" in plan
    assert " results/" not in plan


@pytest.mark.parametrize(
    "target", ["results/datasets/mnst.zarr", "results/meta_train/compact-letters-00000000/theta.safetensors"]
)
def test_a_target_that_no_config_names_is_an_error(checkout: Checkout, target: str):
    assert "No rule to produce" in checkout.snakemake("--dry-run", target, fails=True).stdout


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_profiles_load(checkout: Checkout, profile: str):
    plan = checkout.snakemake("--dry-run", "--profile", f"workflow/profiles/{profile}").stdout
    jobs = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", plan, re.MULTILINE)
    with_gpu = {rule for rule, resources in jobs if "gpu=1" in resources}
    # Random initialisation and other hand-made rules take none.
    assert with_gpu == ({"meta_train_rule", "apply_rule"} if profile == "gpu" else set())


@pytest.mark.parametrize("profile", sorted(p.name for p in (ROOT / "workflow/profiles").iterdir()))
def test_profiles_name_rules_that_exist(checkout: Checkout, profile: str):
    settings = yaml.safe_load((ROOT / f"workflow/profiles/{profile}/profile.yaml").read_text())
    rules = checkout.snakemake("--list-rules").stdout.split()
    assert settings.get("set-resources", {}).keys() <= set(rules)


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("datasets: {mnist-5k: {sidee: 3}}", "unknown key 'datasets.mnist-5k.sidee'; did you mean 'side'?"),
        ("aply: {}", "unknown key 'aply'; did you mean 'apply'?"),
        (
            "studies: {default: {datasets: [digit]}}",
            "studies.default.datasets: 'digit' is no key of datasets; did you mean 'digits'?",
        ),
        (
            "rules: {learned: {run: compact}}",
            "rules.learned.run: 'compact' is no key of meta_train; did you mean 'compact-letters'?",
        ),
        ("rules: {oja: {kind: oya}}", "rules.oja.kind: unknown 'oya'; did you mean 'oja'?"),
        ("apply: {seeds: many}", "apply.seeds: Input should be a valid integer, got 'many'"),
        (
            "rules: {oja: {rate: 3e-3}}",
            "rules.oja.rate: Input should be a valid number, got '3e-3', which is text; write 0.003 (YAML takes 1e-3",
        ),
    ],
)
def test_a_wrong_config_ends_with_one_line(checkout: Checkout, overlay: str, message: str):
    done = checkout.snakemake("--dry-run", "--configfile", checkout.overlay(overlay), fails=True)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Config file ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: config: {message}")
    assert "Traceback" not in done.stdout


def test_a_stage_that_does_not_parse_ends_with_one_line(checkout: Checkout):
    with checkout.edited("rules_src/stages/summarise.py", append="\ndef f(:\n"):
        done = checkout.snakemake("--dry-run", fails=True)
    assert done.stderr.splitlines()[-1].startswith("error: source of stage summarise: ")
    assert "Traceback" not in done.stdout + done.stderr


def test_lint(checkout: Checkout):
    checkout.snakemake("--lint")


def test_format():
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    command = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": tools}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_rules_import_no_compute_library():
    text = "".join(file.read_text() for file in [ROOT / "Snakefile", *ROOT.glob("workflow/rules/*.smk")])
    assert "import jax" not in text
    assert "run:" not in text
    assert "checkpoint " not in text
