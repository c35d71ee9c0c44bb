import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, Checkout


@pytest.mark.parametrize(
    ("config", "counts"),
    [
        ("config", {"prepare_dataset": 4, "apply_rule": 18, "embed_baseline": 9, "evaluate_few_shot": 27}),
        ("smoke", {"prepare_dataset": 3, "apply_rule": 4, "embed_baseline": 2, "evaluate_few_shot": 6}),
        ("pretrain", {"prepare_dataset": 3, "apply_rule": 2, "embed_baseline": 1, "evaluate_few_shot": 3}),
        ("paper", {"prepare_dataset": 4, "apply_rule": 45, "embed_baseline": 27, "evaluate_few_shot": 72}),
    ],
)
def test_each_config_plans_its_jobs(checkout: Checkout, config: str, counts: dict[str, int]):
    once = {"meta_train_rule": 1, "summarise": 1, "draw_figure": 4, "all": 1}
    assert checkout.jobs("--configfile", f"config/{config}.yaml") == counts | once


def test_a_study_that_meta_trains_nothing_draws_only_what_it_has(checkout: Checkout):
    jobs = checkout.jobs("--configfile", "config/text.yaml")
    assert "meta_train_rule" not in jobs
    assert (jobs["apply_rule"], jobs["evaluate_few_shot"], jobs["draw_figure"]) == (10, 16, 2)


@pytest.mark.parametrize("config", ["both-rules", "pretrain-gpu"])
def test_two_runs_are_drawn_side_by_side(checkout: Checkout, config: str):
    jobs = checkout.jobs("--configfile", f"config/{config}.yaml")
    assert (jobs["meta_train_rule"], jobs["draw_figure"]) == (2, 5)


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        ("datasets", {"prepare_dataset": 3}),
        ("meta_train", {"prepare_dataset": 3, "meta_train_rule": 1}),
        ("apply", {"prepare_dataset": 4, "meta_train_rule": 1, "apply_rule": 18, "embed_baseline": 9}),
    ],
)
def test_each_stage_is_a_target(checkout: Checkout, target: str, counts: dict[str, int]):
    assert checkout.jobs(target) == counts | {target: 1}


def test_a_study_without_rules_or_without_baselines(checkout: Checkout):
    only_rules = checkout.jobs("--configfile", checkout.overlay("study: {rules: [oja], baselines: []}"))
    assert only_rules.keys().isdisjoint({"embed_baseline", "meta_train_rule"})
    assert only_rules["draw_figure"] == 2
    only_baselines = checkout.jobs("--configfile", checkout.overlay("study: {rules: [], baselines: [pca]}"))
    assert only_baselines.keys().isdisjoint({"apply_rule", "meta_train_rule"})
    assert only_baselines["draw_figure"] == 1


def test_results_go_where_the_config_says(checkout: Checkout):
    plan = checkout.snakemake("--dry-run", "--configfile", checkout.overlay("results: elsewhere/deep")).stdout
    assert "elsewhere/deep/summary.nc" in plan
    assert " results/" not in plan


@pytest.mark.parametrize(
    "target", ["results/datasets/mnst.zarr", "results/meta_train/compact-letters-00000000/theta.safetensors"]
)
def test_a_target_that_no_config_names_is_an_error(checkout: Checkout, target: str):
    assert "No rule to produce" in checkout.snakemake("--dry-run", target, fails=True).stdout


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_profiles_load(checkout: Checkout, profile: str):
    plan = checkout.snakemake("--dry-run", "--profile", f"workflow/profiles/{profile}").stdout
    assert ("gpu=1" in plan) == (profile == "gpu")


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
        ("study: {datasets: [digit]}", "study.datasets: 'digit' is no key of datasets; did you mean 'digits'?"),
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
