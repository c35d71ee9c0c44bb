import os
import re
import shutil
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, Checkout, counted
from metaplastic.results.spec import EXPERIMENTS
from plans import plan_of
from refusals import refused

from workflow.plan_experiments import studies_of
from workflow.plan_explore import explored, pages
from workflow.plan_figures import figures_of, files_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """With the default config as it is."""
    checkout = Checkout(tmp_path_factory.mktemp("whole"))
    shutil.copy(ROOT / "config/config.yaml", checkout.folder / "config")
    return checkout


SMOKE = {"prepare_dataset": 3, "apply_rule": 2, "apply_hand_made_rule": 2, "embed": 4, "draw_figure": 4}


@pytest.mark.parametrize(
    ("config", "counts"),
    [
        ("config", {"prepare_dataset": 4, "apply_rule": 15, "apply_hand_made_rule": 9, "embed": 21, "draw_figure": 4}),
        ("smoke", SMOKE),
        ("pretrain", {"prepare_dataset": 3, "apply_rule": 1, "apply_hand_made_rule": 1, "embed": 1, "draw_figure": 4}),
    ],
)
def test_each_config_plans_its_jobs(checkout: Checkout, config: str, counts: dict[str, int]):
    once = dict.fromkeys(("meta_train_rule", "evaluate_few_shot", "all"), 1)
    assert checkout.jobs("--configfile", f"config/{config}.yaml") == counts | once


def test_the_entry_of_the_workflow_catalog_plans_the_same(checkout: Checkout):
    found = checkout.jobs("--snakefile", "workflow/Snakefile", "--configfile", "config/smoke.yaml")
    assert found == SMOKE | dict.fromkeys(("meta_train_rule", "evaluate_few_shot", "entry"), 1)


def test_the_paper_s_studies_are_planned_in_time_and_share_what_they_have_in_common(whole: Checkout):
    start = time.monotonic()
    jobs = whole.jobs("--configfile", "config/paper.yaml")
    assert time.monotonic() - start < 10
    # Four datasets of eight embeddings, each once whatever the number of base models; words and components of text; a
    # network whose own loss is followed.
    assert (jobs["embed"], jobs["meta_train_rule"], jobs["evaluate_few_shot"], jobs["compare"]) == (35, 1, 6, 1)


def test_architectures_are_no_cube_of_jobs(whole: Checkout):
    jobs = whole.jobs("architectures", "--configfile", "config/paper.yaml")
    assert (jobs["apply_rule"], jobs["apply_hand_made_rule"], jobs["evaluate_few_shot"]) == (24, 24, 1)
    assert sum(jobs.values()) <= 60


@pytest.mark.parametrize("configs", [[], ["paper"]])
def test_every_figure_of_the_paper_is_planned_by_both_configs(configs: list[str]):
    plan = plan_of("{}", *configs)
    for figure in {declared.figure for declared in EXPERIMENTS.values()}:
        assert any(files_of(plan, study) for study in studies_of(plan, figure))


def test_the_shipped_rule_s_architectures_need_no_meta_training(checkout: Checkout):
    jobs = checkout.jobs("whole_architectures", "--configfile", "config/unseen.yaml")
    counts = {"apply_rule": 19, "apply_hand_made_rule": 19}
    once = ("prepare_dataset", "evaluate_few_shot", "draw_figure", "whole_architectures")
    assert jobs == counts | dict.fromkeys(once, 1)


def test_experiments_of_the_paper_are_targets(whole: Checkout):
    jobs = whole.jobs("figure_2")
    # The network without labels, and the one of tasks, whose accuracy on two orders of inputs stands beside a rule's.
    assert (jobs["embed"], jobs["meta_learn"], jobs["evaluate_episodes"], jobs["draw_figure"]) == (1, 1, 1, 2)
    assert (jobs["apply_rule"], jobs["evaluate_few_shot"]) == (2, 1)
    assert "meta_train_rule" not in jobs
    assert whole.jobs("figure_5")["apply_rule"] == 7


def test_curves_over_meta_training_apply_snapshots_of_one_run_to_any_dataset(whole: Checkout):
    overlay = whole.overlay("studies: {over-meta-training: {datasets: [mnist-5k, movie-sentences]}}")
    jobs = whole.jobs("figure_3", "--configfile", overlay)
    counts = {"meta_train_rule": 3, "apply_rule": 6, "apply_hand_made_rule": 2, "evaluate_few_shot": 1}
    assert {rule: jobs[rule] for rule in counts} == counts
    more = whole.overlay("studies: {over-meta-training: {datasets: [mnist-5k, movie-sentences, digits]}}")
    again = whole.jobs("figure_3", "--configfile", more)
    assert (again["meta_train_rule"], again["apply_rule"]) == (3, 9)


def test_components_are_drawn_where_a_study_lists_them(whole: Checkout):
    assert "how-it-learns/figures/principal_components.svg" in whole.snakemake("--dry-run", "figure_6").stdout


def test_all_experiments_make_a_page(whole: Checkout):
    jobs = whole.jobs()
    assert jobs["compare"] == 1
    assert "explore_study" not in jobs
    without = whole.overlay("run: [default, objective-mismatch]")
    assert "compare" not in whole.jobs("--configfile", without)
    assert whole.jobs("comparison", "--configfile", without)["evaluate_few_shot"] == 2


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("run: [default]", "figure_2: none of the studies that are run is experiment 'objective-mismatch' or"),
        (
            "studies: {objective-mismatch: {embeddings: [pca], figures: [few_shot_bars]}}",
            "studies.objective-mismatch.embeddings: experiment 'objective-mismatch' takes a network that is recorded "
            "after 3 or more numbers of steps",
        ),
        (
            "studies: {over-meta-training: {experiment: unseen-modality, datasets: [movie-sentences]}}",
            "run: 'over-meta-training' and 'unseen-modality' are both 'unseen-modality'; run one of them",
        ),
        (
            "studies: {how-it-learns: {rules: [after-0]}}",
            "studies.how-it-learns.rules: experiment 'how-it-learns' takes a rule that was meta-trained",
        ),
        (
            "studies: {how-it-learns: {datasets: [mnist-5k, two-moons]}}",
            "studies.how-it-learns.datasets: experiment 'how-it-learns' takes two moons, then images",
        ),
        (
            "studies: {permuted-inputs: {datasets: [letters, characters-permuted], trained_on: letters}}",
            "studies.permuted-inputs.datasets: experiment 'permuted-inputs' takes one, and the same with `permuted`",
        ),
        (
            "studies: {permuted-inputs: {trained_on: null}}",
            "studies.permuted-inputs.trained_on: experiment 'permuted-inputs' takes the dataset without `permuted`",
        ),
    ],
)
def test_an_experiment_that_lacks_something_is_refused(overlay: str, message: str):
    figure = "figure_6" if "how-it-learns" in overlay else "figure_2"
    assert refused(studies_of, plan_of(overlay), figure).startswith(message)


def test_snakemake_says_in_one_line_what_an_experiment_lacks(whole: Checkout):
    overlay = whole.overlay("studies: {unseen-modality: {datasets: [digits]}}")
    message = "studies.unseen-modality.datasets: experiment 'unseen-modality' takes text"
    assert whole.error("figure_4", "--configfile", overlay) == f"error: {message}"


def test_a_study_that_meta_trains_nothing_draws_only_what_it_has(checkout: Checkout):
    jobs = checkout.jobs("whole_text", "--configfile", "config/unseen.yaml")
    assert "meta_train_rule" not in jobs
    assert (jobs["apply_rule"], jobs["apply_hand_made_rule"]) == (2, 1)
    assert (jobs["evaluate_few_shot"], jobs["draw_figure"]) == (1, 1)


@pytest.mark.parametrize("config", ["both-rules", "pretrain-gpu"])
def test_two_runs_are_drawn_side_by_side(checkout: Checkout, config: str):
    jobs = checkout.jobs("--configfile", f"config/{config}.yaml")
    assert (jobs["meta_train_rule"], jobs["draw_figure"]) == (2, 5)


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        ("meta_train", {"prepare_dataset": 3, "meta_train_rule": 1}),
        (
            "apply",
            {"prepare_dataset": 4, "meta_train_rule": 1, "apply_rule": 15, "apply_hand_made_rule": 9, "embed": 21},
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
        **dict.fromkeys(("prepare_dataset", "apply_hand_made_rule", "evaluate_few_shot"), 1),
        **dict.fromkeys(("draw_figure", "two_kinds"), 1),
    }
    plan = checkout.snakemake("--dry-run", "--printshellcmds", "two_kinds", "pixels", *overlay).stdout
    assert counted(plan)["embed"] == 1
    for study in ("two-kinds", "pixels"):
        assert f"results/studies/{study}/table.md" in plan
    assert '"shots":[2]' in plan


def test_a_figure_that_cannot_be_drawn_ends_with_one_line(checkout: Checkout):
    def said(figure: str, why: str) -> tuple[str, str]:
        study = f"studies: {{pixels: {{datasets: [digits], embeddings: [raw], figures: [{figure}]}}}}"
        return study, f"studies.pixels.figures: '{figure}' {why}; valid: few_shot_bars"

    study, message = said("few_shot_bar", "is not a figure")
    assert checkout.error("pixels", "--configfile", checkout.overlay(study)) == f"error: {message}"
    study, message = said("first_layer_filters", "has nothing to show in this study")
    assert refused(figures_of, plan_of(study), "pixels") == message


@pytest.mark.parametrize(("partitions", "second"), [("fast", "protonets-fast"), ("clusters", "protonets-clusters")])
def test_learners_that_results_tell_apart_are_taken_whatever_their_names(partitions: str, second: str):
    study = f"{{partitions: [{partitions}], learners: [protonets, {second}]}}"
    more = f"partitions: {{fast: {{kind: random}}}}, learners: {{{second}: {{kind: protonets, tasks: {{queries: 5}}}}}}"
    plan_of(f"{{{more}, studies: {{cactus-letters: {study}}}}}")


@pytest.mark.parametrize(("rules", "shown"), [("random-init", False), ("random-init, oja", True)])
def test_architectures_are_shown_where_a_rule_learns(rules: str, shown: bool):
    study = f"datasets: [digits], base_models: [small, 2x64, 4x64], rules: [{rules}], embeddings: [raw]"
    figures = figures_of(plan_of(f"studies: {{shapes: {{{study}}}}}"), "shapes")
    assert ("unseen_architectures" in figures) == shown


@pytest.mark.parametrize("name", ["figure-2", "evaluate-episodes"])
def test_no_study_can_have_the_name_of_a_rule(checkout: Checkout, name: str):
    overlay = checkout.overlay(f"studies: {{{name}: {{datasets: [digits], embeddings: [raw]}}}}")
    expected = f"error: config: studies.{name}: the name is that of a rule of the workflow; rename it"
    assert checkout.error("--configfile", overlay) == expected


def test_a_study_without_rules_or_without_embeddings(checkout: Checkout):
    only_rules = checkout.jobs("--configfile", checkout.overlay("studies: {default: {rules: [oja], embeddings: []}}"))
    assert only_rules.keys().isdisjoint({"embed", "meta_train_rule"})
    assert only_rules["draw_figure"] == 2
    overlay = checkout.overlay("studies: {default: {rules: [], embeddings: [pca]}}")
    only_embeddings = checkout.jobs("--configfile", overlay)
    assert only_embeddings.keys().isdisjoint({"apply_rule", "apply_hand_made_rule", "meta_train_rule"})
    assert only_embeddings["draw_figure"] == 1


def test_results_go_where_the_config_says(checkout: Checkout):
    plan = checkout.snakemake("--dry-run", "--configfile", checkout.overlay("results: elsewhere/deep")).stdout
    assert "elsewhere/deep/studies/default/summary.nc" in plan
    assert " results/" not in plan


@pytest.mark.parametrize(
    "target", ["results/datasets/mnst.zarr", "results/meta_train/compact-letters-00000000/snapshots"]
)
def test_a_target_that_no_config_names_is_an_error(checkout: Checkout, target: str):
    assert "No rule to produce" in checkout.snakemake("--dry-run", target, fails=True).stdout


def test_a_plain_call_goes_on_after_ctrl_c(finished: Checkout):
    mark = urlsafe_b64encode(b"results/datasets/digits.zarr").decode()
    stopped = finished.folder / ".snakemake/incomplete" / mark
    stopped.write_text('{"external_jobid": null}')
    try:
        assert finished.jobs()["prepare_dataset"] == 1
        assert "Incomplete files" in finished.snakemake("--workflow-profile", "none", fails=True).stderr
    finally:
        stopped.unlink()


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_profiles_load(checkout: Checkout, profile: str):
    plan = checkout.snakemake("--dry-run", "--profile", f"workflow/profiles/{profile}").stdout
    jobs = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", plan, re.MULTILINE)
    with_gpu = {rule for rule, resources in jobs if "gpu=1" in resources}
    # Random initialisation and other hand-made rules take none.
    assert with_gpu == ({"meta_train_rule", "apply_rule"} if profile == "gpu" else set())


def test_profiles_name_rules_that_exist(checkout: Checkout):
    rules = checkout.snakemake("--list-rules").stdout.split()
    for profile in ROOT.glob("workflow/profiles/*/profile.yaml"):
        settings = yaml.safe_load(profile.read_text())
        assert settings.get("set-resources", {}).keys() <= set(rules), profile


def test_a_wrong_config_ends_with_one_line(checkout: Checkout):
    done = checkout.snakemake("--dry-run", "--configfile", checkout.overlay("aply: {}"), fails=True)
    errors = [line for line in done.stderr.splitlines() if not line.startswith(("Config file ", "Using workflow "))]
    assert errors == ["error: config: unknown key 'aply'; did you mean 'apply'?"]
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("option", ["--configfile=mine.yaml", "--configfiles mine.yaml"])
def test_a_config_that_is_no_utf_8_ends_with_one_line(checkout: Checkout, option: str):
    (checkout.folder / "mine.yaml").write_bytes(b"results: caf\xe9\n")
    assert checkout.error(*option.split()) == "error: mine.yaml: byte 12 is not UTF-8; save the file as UTF-8"


def test_a_stage_that_does_not_parse_ends_with_one_line(checkout: Checkout):
    with checkout.edited("rules_src/metaplastic/stages/evaluate.py", append="\ndef f(:\n"):
        assert checkout.error().startswith("error: source of stage evaluate: ")


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


def test_the_page_takes_features_that_nothing_else_has_recorded(whole: Checkout):
    planned = whole.snakemake("--dry-run", "explore", "--configfile", "config/explore.yaml").stdout
    jobs = counted(planned)
    counts = {"meta_train_rule": 3, "apply_rule": 4, "apply_hand_made_rule": 2, "embed": 1, "explore_study": 1}
    assert {rule: jobs[rule] for rule in counts} == counts
    assert "evaluate_few_shot" not in jobs
    assert "features/watched/oja/mnist-5k.zarr" in planned
    assert "features/small/" not in planned


def test_studies_with_nothing_to_show_have_no_page(whole: Checkout):
    plan = plan_of()
    assert len(pages(plan)) == 4
    for study in ("unseen-modality", "cactus-letters", "objective-mismatch"):
        assert refused(explored, plan, study).startswith(f"studies.{study}: no page to show; it takes update rules")
    text = whole.overlay("run: [unseen-modality]")
    what = "update rules, a dataset of images and no learners"
    told = f"error: explore: none of the studies that are run has a page to show; it takes {what}"
    assert whole.error("explore", "--configfile", text) == told
