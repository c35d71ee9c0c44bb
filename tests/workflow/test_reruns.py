"""After a finished run: which outputs a change makes anew, exactly."""

import os
import re
from contextlib import ExitStack

import pytest
from checkout import Checkout, stem

SUMMARY = "summary|table|figures/few_shot_bars|figures/accuracy_over_inner_steps"
FILTERS = "figures/first_layer_filters"


def of_methods(*methods: str) -> str:
    return f"(features|evaluate)/small/({'|'.join(methods)})/.*"


def of_datasets(*datasets: str) -> str:
    names = "|".join(datasets)
    return f"datasets/({names})|(features|evaluate)/small/[^/]*/({names})"


@pytest.fixture(scope="module")
def stems(finished: Checkout) -> set[str]:
    return {stem(path) for path in finished.outputs()}


def matching(stems: set[str], patterns: list[str]) -> set[str]:
    return {name for name in stems if re.fullmatch("|".join(patterns), name)}


def test_nothing_to_do(finished: Checkout):
    assert "Nothing to be done" in finished.snakemake("--dry-run").stdout
    assert finished.pending() == set()


def test_touching_every_file_makes_nothing_anew(finished: Checkout):
    for folder in ("rules_src", "workflow", "config"):
        for file in (finished.folder / folder).rglob("*.*"):
            os.utime(file)
    assert finished.pending() == set()


def test_comments_and_docstrings_make_nothing_anew(finished: Checkout):
    with ExitStack() as edits:
        for file in (finished.folder / "rules_src").rglob("*.py"):
            edits.enter_context(finished.edited(str(file), append='\n"""Said otherwise."""\n# A remark.\n'))
        assert finished.pending() == set()


@pytest.mark.parametrize(
    ("module", "patterns"),
    [
        ("figures.few_shot_bars", ["figures/few_shot_bars"]),
        ("figures.first_layer_filters", [FILTERS]),
        ("stages.summarise", [SUMMARY]),
        ("stages.evaluate_few_shot", ["evaluate/.*", SUMMARY]),
        ("stages.embed_baseline", [of_methods("pca"), SUMMARY]),
        ("stages.apply_rule", [of_methods("learned", "untrained", "oja"), SUMMARY, FILTERS]),
        ("baselines.pca", [of_methods("pca"), SUMMARY]),
        ("baselines.k_means", []),
        ("config.datasets", []),
        ("config.rules", []),
        ("update_rules.hand_made", [of_methods("oja"), SUMMARY]),
        ("update_rules.compact", ["meta_train/.*", of_methods("learned", "untrained"), SUMMARY, "figures/.*"]),
        ("stages.meta_train", ["meta_train/.*", of_methods("learned"), SUMMARY, "figures/.*"]),
        ("datasets.movie_sentences", [of_datasets("movie-sentences"), SUMMARY]),
        ("datasets.file", [of_datasets("mine"), SUMMARY]),
        ("datasets.tables", [of_datasets("mine"), SUMMARY]),
        ("datasets.letters", ["datasets/letters", "meta_train/.*", of_methods("learned"), SUMMARY, "figures/.*"]),
        ("storage", [".*"]),
    ],
)
def test_code_makes_anew_what_runs_it_and_what_follows(
    finished: Checkout, stems: set[str], module: str, patterns: list[str]
):
    with finished.edited(f"rules_src/{module.replace('.', '/')}.py", append="\nunused = 1\n"):
        assert finished.pending() == matching(stems, patterns)


@pytest.mark.parametrize(
    ("overlay", "patterns"),
    [
        ("data: {mirror: some/folder, cache: other/folder}", []),
        ("rules: {spare: {kind: oja, rate: 0.5}}", []),
        ("datasets: {movie-sentences: {vocabulary: 500}}", [of_datasets("movie-sentences"), SUMMARY]),
        ("datasets: {mine: {standardise: false}}", [of_datasets("mine"), SUMMARY]),
        ("few_shot: {draws: 9}", ["evaluate/.*", SUMMARY]),
        ("rules: {oja: {rate: 0.5}}", [of_methods("oja"), SUMMARY]),
        ("study: {rules: [learned, oja]}", [SUMMARY]),
    ],
)
def test_config_makes_anew_what_reads_it_and_what_follows(
    finished: Checkout, stems: set[str], overlay: str, patterns: list[str]
):
    assert finished.pending("--configfile", finished.overlay(overlay)) == matching(stems, patterns)


def test_an_edited_file_makes_anew_its_dataset_and_what_follows(finished: Checkout, stems: set[str]):
    with finished.edited("mine.csv", append="3,u\n"):
        assert finished.pending() == matching(stems, [of_datasets("mine"), SUMMARY])
    assert finished.pending() == set()


def test_a_changed_meta_training_run_gets_a_folder_of_its_own(finished: Checkout):
    before = {path.parent for path in finished.outputs() if path.parts[0] == "meta_train"}
    for overlay in ("meta_train: {compact-letters: {meta_steps: 7}}", "datasets: {digits: {test_fraction: 0.5}}"):
        planned = finished.outputs("--configfile", finished.overlay(overlay))
        runs = {path.parent for path in planned if path.parts[0] == "meta_train"}
        assert len(runs) == 1
        assert runs.isdisjoint(before)
        assert all(planned[path] for path in planned if path.parts[0] == "meta_train")
