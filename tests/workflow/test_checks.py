"""What is refused before any job, without Snakemake; and that Snakemake says it in one line."""

import os
import time
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, Checkout
from known import known
from metaplastic.config import checks
from metaplastic.config.load import check_files, load
from metaplastic.config.study import Config
from metaplastic.datasets.fetch import Fetch
from metaplastic.datasets.sources import digits, letters, mnist_5k
from metaplastic.update_rules.spec import Compact, MetaTrained
from metaplastic.update_rules.theta import initial_rule, save_theta
from refusals import refused
from snakemake.utils import update_config

from workflow import folders


def config(overlay: str = "{}") -> Config:
    """The default one, with an overlay merged as Snakemake does."""
    default = known()
    update_config(default, yaml.safe_load(overlay))
    return load(default)


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_config_of_the_project_passes(file: Path):
    check_files([file])
    # Laid over the default one as it is, whose runs they may name.
    raw = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    update_config(raw, yaml.safe_load(file.read_text()))
    whole = load(raw)
    for study in whole.run:
        checks.check_study(whole, study)
    rules = [whole.rules[name] for study in whole.run for name in whole.studies[study].rules]
    used = {rule.run for rule in rules if isinstance(rule, MetaTrained)}
    for run in used | yaml.safe_load(file.read_text()).get("meta_train", {}).keys():
        checks.check_run(whole, run)


def test_what_is_known_of_data_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    faces = letters.installed_faces()[::20]
    monkeypatch.setattr(letters, "installed_faces", lambda: faces)
    whole, fetch = config(), Fetch(tmp_path)
    for name, module in {"digits": digits, "mnist-5k": mnist_5k, "letters": letters}.items():
        spec = whole.datasets[name]
        dataset = module.prepare(spec, fetch)
        assert spec.class_count == len(dataset.class_names)
        assert spec.side == spec.side_known == dataset.sizes["row"]
        counts = [(dataset.label.values == label).sum() for label in range(spec.class_count)]
        train = [((dataset.label.values == label) & (dataset.split.values == 0)).sum() for label in range(10)]
        if spec.smallest:
            assert min(counts) == spec.smallest
            assert min(train) == spec.training_examples
            assert spec.smallest == spec.smallest_class
    assert spec.task_classes == int(dataset.held_out_character.sum())


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        (
            "datasets: {letters: {split_by: characters}}\nstudies: {default: {datasets: [letters]}}",
            "studies.default.datasets: no class of 'letters' is in two splits, so only learners take it; list some",
        ),
        (
            "datasets: {mine: {source: folder, path: mine}}\nstudies: {default: {datasets: [digits, mine]}}",
            "studies.default.datasets: no class of 'mine' is in two splits",
        ),
        (
            "few_shot: {shots: [5000]}",
            "few_shot.shots: 5000 labelled examples a class asked for, but a class of 'mnist-5k'",
        ),
    ],
)
def test_datasets_that_no_readout_can_be_fitted_on(overlay: str, message: str):
    assert refused(checks.check_study, config(overlay), "default").startswith(message)


def test_learners_take_the_features_of_one_network():
    overlay = """
        learners: {nearest: {kind: nearest-neighbours}}
        studies: {default: {base_models: [small, 2x64], learners: [nearest]}}
    """
    expected = "config: studies.default.base_models: learners take the features of one network; list one"
    assert refused(config, overlay) == expected


def test_a_file_is_of_images_if_a_key_says_so():
    mine = config("datasets: {mine: {source: file, path: x.npz, layout: channels-first}}").datasets["mine"]
    assert (mine.modality, mine.channels, mine.inputs) == ("image", None, None)
    # It may be in colour, which takes more memory.
    assert config("datasets: {mine: {source: file, path: x.npz, side: 20}}").datasets["mine"].inputs == 1200


def test_a_theta_of_another_rule_is_no_start(tmp_path: Path):
    file = tmp_path / "theta.safetensors"
    run = config().meta_train["compact-letters"]
    file.write_text("theta")
    folders.check_start(run, "start", file)
    for spec, right in ((Compact(kind="compact"), True), (Compact(kind="compact", channels=3), False)):
        save_theta(initial_rule(spec), file, spec=spec.model_dump())
        if right:
            folders.check_start(run, "start", file)
        else:
            assert refused(folders.check_start, run, "start", file).startswith(f"start: {file} is of Compact(kind=")


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ("nowhere", "{results}: {folder}/nowhere is not a folder; give another, or move it away"),
        ("locked/deep", "{results}: {folder}/locked cannot be written to; give another"),
        ("x" * 300, "at most 3496 bytes, and 255 between two slashes, can be the path of a folder of results; give a"),
        (
            "x/" * 1800,
            "at most 3496 bytes, and 255 between two slashes, can be the path of a folder of results; give a",
        ),
    ],
)
def test_folders_of_results_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: str, message: str):
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "locked").mkdir()
    # Whatever the mode, root may write.
    monkeypatch.setattr(folders.os, "access", lambda path, mode: path.name != "locked")
    given = str(tmp_path / results)
    expected = message.format(results=given, folder=tmp_path)
    assert refused(folders.check_folders, config(f"results: {given}")).startswith(f"results: {expected}")


def test_folders_that_can_be(tmp_path: Path):
    for results in ("new/deep", "there", "there/"):
        (tmp_path / "there").mkdir(exist_ok=True)
        folders.check_folders(config(f"results: {tmp_path / results}"))


def test_results_without_snakemake_s_record_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    whole = config("results: mine")
    folders.warn_of_unrecorded(whole)
    Path("mine/datasets").mkdir(parents=True)
    Path("mine/datasets/digits.manifest.json").touch()
    assert not capsys.readouterr().err
    folders.warn_of_unrecorded(whole)
    assert capsys.readouterr().err.startswith(
        "warning: mine: Snakemake's record of how these results were made is not here"
    )
    Path(".snakemake/metadata").mkdir(parents=True)
    Path(".snakemake/metadata/x").touch()
    folders.warn_of_unrecorded(whole)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("path", ["a.manifest.json", "s.zarr/.snakemake_timestamp"])
def test_a_result_from_the_future(tmp_path: Path, path: str):
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    file.touch()
    # A link to nothing is as a file that another job has just removed.
    (tmp_path / "gone").symlink_to("nowhere")
    folders.check_folders(config(f"results: {tmp_path}"))
    os.utime(file, (0, time.time() + 7200))
    message = refused(folders.check_folders, config(f"results: {tmp_path}"))
    assert message.startswith(f"{file}: its time is 7,")
    assert message.endswith(" s ahead of the clock; set the clock right, then touch it")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [{b: {c: 1, c: 2}}]\n", "key 'c' is in lines 1 and 1; YAML takes the last alone"),
        (b"a: [1\n", "no YAML (while parsing a flow sequence"),
        (b"a: 1\n---\nb: 2\n", "no YAML (expected a single document in the stream"),
        (b"a: &x [*x]\n", "no YAML that ends; an alias holds itself"),
    ],
)
def test_files_that_are_no_config(tmp_path: Path, content: bytes, message: str):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    assert refused(check_files, [file]).startswith(f"{file}: {message}")
    assert refused(check_files, [tmp_path / "none.yaml"]) == f"{tmp_path}/none.yaml: No such file or directory"


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("results: Snakefile\n", "results: Snakefile: "),
        ("meta_train: {compact-letters: {tasks: {side: 9}}}\n", "meta_train.compact-letters.tasks.side: 9 is more"),
    ],
)
def test_snakemake_says_it_in_one_line(checkout: Checkout, overlay: str, message: str):
    error = checkout.error("--configfile", checkout.overlay(overlay))
    assert error.startswith("error: ")
    assert message in error


def test_another_working_directory_takes_the_config_of_the_checkout(checkout: Checkout, tmp_path: Path):
    assert checkout.jobs("datasets", "--directory", str(tmp_path)) == {"prepare_dataset": 3, "datasets": 1}
