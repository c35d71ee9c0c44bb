"""After a finished run: which outputs a change makes anew, exactly."""

import os
import re
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from checkout import Checkout, stem
from metaplastic.config.load import load

from workflow.fingerprint import Code

DEFAULT = "studies/default/(summary|table|figures/few_shot_bars|figures/accuracy_over_inner_steps)"
LATER = "studies/over-meta-training/(summary|table|figures/few_shot_bars)"
SUMMARIES = f"{DEFAULT}|{LATER}"
FIGURES = "studies/[^/]*/figures/.*"
FILTERS = "studies/default/figures/first_layer_filters"
"""Of the default study, which alone draws them."""
RULES = {"learned", "early", "untrained", "oja"}
UNUSED = "\nunused = None\n"


def source_of(module: str) -> str:
    return f"rules_src/metaplastic/{module.replace('.', '/')}.py"


def of_methods(*methods: str) -> str:
    places = "|".join(f"small/{method}" if method in RULES else method for method in methods)
    return f"features/({places})/.*"


def of_datasets(*datasets: str) -> str:
    names = "|".join(datasets)
    return f"datasets/({names})|features/.*/({names})"


@pytest.fixture(scope="module")
def outputs(finished: Checkout) -> set[Path]:
    return set(finished.outputs())


@pytest.fixture(scope="module")
def stems(outputs: set[Path]) -> set[str]:
    return {stem(path) for path in outputs}


def matching(stems: set[str], patterns: list[str]) -> set[str]:
    return {name for name in stems if re.fullmatch("|".join(patterns), name)}


def test_nothing_to_do(finished: Checkout):
    assert "Nothing to be done" in finished.snakemake("--dry-run").stdout


def test_touching_every_file_makes_nothing_anew(finished: Checkout):
    for folder in ("rules_src", "workflow", "config"):
        for file in (finished.folder / folder).rglob("*.*"):
            os.utime(file)
    assert finished.pending() == set()


def test_comments_and_docstrings_make_nothing_anew(finished: Checkout):
    with ExitStack() as edits:
        for file in (finished.folder / "rules_src/metaplastic").rglob("*.py"):
            edits.enter_context(finished.edited(str(file), append='\n"""Said otherwise."""\n# A remark.\n'))
        assert finished.pending() == set()


def test_code_that_no_job_runs_or_that_only_checks_and_tells_makes_nothing_anew(finished: Checkout):
    with ExitStack() as edits:
        for module in (
            "embeddings.k_means",
            "few_shot.episode_accuracy",
            "meta_train.estimators.evolution",
            "meta_train.tasks.strokes",
            "tools.ship_rule",
            "datasets.spec",
            "update_rules.spec",
            "training.launch",
            "training.progress",
            # Preparing a dataset only checks that episodes can be drawn from it.
            "few_shot.attributes",
            "few_shot.episodes",
        ):
            edits.enter_context(finished.edited(source_of(module), append=UNUSED))
        assert finished.pending() == set()


TRAINED = ["meta_train/.*", of_methods("learned", "early")]


@pytest.mark.parametrize(
    ("module", "patterns"),
    [
        ("figures.few_shot_bars", ["studies/[^/]*/figures/few_shot_bars"]),
        ("figures.first_layer_filters", [FILTERS]),
        ("stages.draw_figure", [FIGURES]),
        ("stages.evaluate", [SUMMARIES]),
        ("few_shot.readout_accuracy", [SUMMARIES]),
        ("results.tables", [SUMMARIES]),
        ("stages.embed", [of_methods("pca", "vae"), DEFAULT]),
        ("stages.apply_rule", [of_methods(*RULES), SUMMARIES, FILTERS]),
        ("embeddings.pca", [of_methods("pca"), DEFAULT]),
        ("embeddings.vae", [of_methods("vae"), DEFAULT]),
        ("embeddings.neural", [of_methods("vae"), DEFAULT]),
        ("network", [*TRAINED, of_methods(*RULES, "vae"), SUMMARIES, FIGURES]),
        ("update_rules.oja", [of_methods("oja"), DEFAULT]),
        ("update_rules.compact", [*TRAINED, of_methods("untrained"), SUMMARIES, FIGURES]),
        ("stages.meta_train", [*TRAINED, SUMMARIES, FIGURES]),
        ("meta_train.outer", [*TRAINED, SUMMARIES, FIGURES]),
        ("meta_train.estimators.truncated_backprop", [*TRAINED, SUMMARIES, FIGURES]),
        ("meta_train.tasks.images", [*TRAINED, SUMMARIES, FIGURES]),
        ("training.sharding", [*TRAINED, of_methods("vae"), SUMMARIES, FIGURES]),
        ("update_rules.neuron_local", [*TRAINED, of_methods("untrained"), SUMMARIES, FIGURES]),
        ("update_rules.terms", [*TRAINED, of_methods("untrained", "oja"), SUMMARIES, FIGURES]),
        ("training.loop", [*TRAINED, of_methods("pca", "vae"), SUMMARIES, FIGURES]),
        ("datasets.sources.movie_sentences", [of_datasets("movie-sentences"), DEFAULT]),
        ("datasets.user.file", [of_datasets("mine"), DEFAULT]),
        ("datasets.user.tables", [of_datasets("mine"), DEFAULT]),
        ("datasets.sources.letters", ["datasets/letters", *TRAINED, SUMMARIES, FIGURES]),
        ("io.storage", [".*"]),
    ],
)
def test_code_makes_anew_what_runs_it_and_what_follows(
    finished: Checkout, stems: set[str], module: str, patterns: list[str]
):
    with finished.edited(source_of(module), append=UNUSED):
        assert finished.pending() == matching(stems, patterns)


@pytest.mark.parametrize(
    ("overlay", "patterns"),
    [
        ("datasets: {movie-sentences: {vocabulary: 400}}", [of_datasets("movie-sentences"), DEFAULT]),
        ("datasets: {mine: {standardise: false}}", [of_datasets("mine"), DEFAULT]),
        ("few_shot: {draws: 9}", [SUMMARIES]),
        ("studies: {over-meta-training: {few_shot: {draws: 9}}}", [LATER]),
        ("rules: {oja: {rate: 0.5}}", [of_methods("oja"), DEFAULT]),
        ("embeddings: {vae: {beta: 0.5}}", [of_methods("vae"), DEFAULT]),
        ("studies: {default: {rules: [learned, oja]}}", [DEFAULT]),
    ],
)
def test_config_makes_anew_what_reads_it_and_what_follows(
    finished: Checkout, stems: set[str], overlay: str, patterns: list[str]
):
    assert finished.pending("--configfile", finished.overlay(overlay)) == matching(stems, patterns)


def test_config_that_changes_no_result_makes_nothing_anew(finished: Checkout):
    (finished.folder / "some/folder").mkdir(parents=True)
    overlay = """
data: {mirror: some/folder, cache: other/folder}
rules: {spare: {kind: oja, rate: 0.5}}
base_models: {spare: {hidden: [9]}}
meta_train: {compact-letters: {keep: {newest: 3, milestones: 4}}}
"""
    assert finished.pending("--configfile", finished.overlay(overlay)) == set()


def test_an_edited_file_makes_anew_its_dataset_and_what_follows(finished: Checkout, stems: set[str]):
    with finished.edited("mine.csv", append="3,u\n"):
        assert finished.pending() == matching(stems, [of_datasets("mine"), DEFAULT])
    assert finished.pending() == set()


def test_a_method_s_name_is_part_of_its_results_but_a_base_model_is_none_of_an_embedding_s(finished: Checkout):
    wider = finished.overlay(
        "studies: {default: {base_models: [small, wide]}}\nbase_models: {wide: {hidden: [99], features: 16}}"
    )
    pending = finished.pending("--configfile", wider)
    assert {name for name in pending if name.startswith("features/")} == {
        f"features/wide/{rule}/{dataset}"
        for rule in ("learned", "untrained", "oja")
        for dataset in ("digits", "movie-sentences", "mine")
    }


def test_a_further_dataset_over_meta_training_trains_nothing(finished: Checkout):
    more = finished.overlay("studies: {over-meta-training: {datasets: [digits, movie-sentences]}}")
    pending = finished.pending("--configfile", more)
    # What the default study has already applied is taken as it is.
    learned = {name for name in pending if name.startswith(("features/", "meta_train/"))}
    assert learned == {"features/small/early/movie-sentences"}


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        # A message, how far a run is, an estimator and a kind of tasks that the run does not use.
        ("rules_src/metaplastic/training/loop.py", 'raise InputError("said")', True),
        ("rules_src/metaplastic/training/progress.py", "unused = 1", True),
        ("rules_src/metaplastic/meta_train/estimators/evolution.py", "unused = 1", True),
        ("rules_src/metaplastic/meta_train/tasks/words.py", "unused = 1", True),
        ("rules_src/metaplastic/io/storage.py", "unused = 1", True),
        ("rules_src/metaplastic/stages/meta_train.py", "unused = 1", True),
        ("rules_src/metaplastic/meta_train/outer.py", "unused = 1", False),
        ("rules_src/metaplastic/meta_train/window.py", "unused = 1", False),
        ("rules_src/metaplastic/update_rules/compact.py", "unused = 1", False),
        ("rules_src/metaplastic/meta_train/tasks/images.py", "unused = 1", False),
        ("rules_src/metaplastic/io/jax_settings.py", "unused = 1", False),
    ],
)
def test_states_of_a_run_are_kept_by_edits_that_change_no_result(finished: Checkout, old: str, new: str, kept: bool):
    def state_of_run() -> str:
        config = load(yaml.safe_load((finished.folder / "config/config.yaml").read_text()))
        modules = config.meta_train["compact-letters"].modules
        return Code(finished.folder / "rules_src/metaplastic").of_state("metaplastic.meta_train.run", *modules)

    with finished.edited(old, append="\ndef unused():\n    raise InputError('one')\n"):
        before = state_of_run()
    append = "\ndef unused():\n    raise InputError('another')\n" if new.startswith("raise") else f"\n{new}\n"
    untouched = before if new.startswith("raise") else state_of_run()
    with finished.edited(old, append=append):
        assert (state_of_run() == untouched) == kept


def test_what_a_section_computes_counts_and_its_fields_do_not(finished: Checkout, stems: set[str]):
    spec, computed = "rules_src/metaplastic/meta_train/spec.py", "return self.parallel_tasks // self.at_once"
    with finished.edited(spec, replace=(computed, f"{computed} + 0")):
        assert matching(stems, TRAINED) <= finished.pending()
    with finished.edited(spec, replace=("parallel_tasks: PositiveInt = 8", "parallel_tasks: Count = 8")):
        assert finished.pending() == set()


def test_a_new_figure_draws_itself_alone(finished: Checkout):
    figure = finished.folder / "rules_src/metaplastic/figures/new_figure.py"
    figure.write_text(
        'INPUTS = {"summary": "summary"}\nNEEDS = ("few-shot methods",)\nCAPTION = "A copy of another."\n'
        "from metaplastic.figures.few_shot_bars import draw as draw\n"
    )
    assert finished.pending() == {"studies/default/figures/new_figure"}
    figure.unlink()


def test_a_new_key_with_a_default_renames_no_finished_run(finished: Checkout, outputs: set[Path]):
    before = {path for path in outputs if path.parts[0] == "meta_train"}
    key = (
        '    """Updates of theta."""\n',
        '    """Updates of theta."""\n    novelty: PositiveInt = 3\n    """New."""\n',
    )
    with finished.edited("rules_src/metaplastic/meta_train/spec.py", replace=key):
        assert {path for path in finished.outputs() if path.parts[0] == "meta_train"} == before


def test_a_further_seed_of_a_run_leaves_the_others_as_they_are(finished: Checkout, outputs: set[Path]):
    before = {path.parent for path in outputs if path.parts[0] == "meta_train"}
    planned = finished.outputs("--configfile", finished.overlay("meta_train: {compact-letters: {seeds: 2}}"))
    (new,) = {path.parent for path, update in planned.items() if update and path.parts[0] == "meta_train"}
    assert before == {new.with_name("seed-0")}
    assert new.name == "seed-1"
    features = {stem(path) for path, update in planned.items() if update and path.parts[0] == "features"}
    assert features == {f"features/small/learned/{name}" for name in ("digits", "movie-sentences", "mine")} | {
        "features/small/early/digits"
    }


def test_a_changed_meta_training_run_gets_a_folder_of_its_own(finished: Checkout, outputs: set[Path]):
    before = {path.parent for path in outputs if path.parts[0] == "meta_train"}
    for overlay in ("meta_train: {compact-letters: {meta_steps: 550}}", "datasets: {digits: {test_fraction: 0.5}}"):
        planned = finished.outputs("--configfile", finished.overlay(overlay))
        runs = {path.parent for path in planned if path.parts[0] == "meta_train"}
        assert len(runs) == 1
        assert runs.isdisjoint(before)
        assert all(planned[path] for path in planned if path.parts[0] == "meta_train")
