"""Examples of a dataset of one's own, taken from the README and from the guide; the latter's run at a small size."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, Checkout
from metaplastic.io.storage import read_netcdf, read_zarr
from PIL import Image

SECTION = (ROOT / "docs/guides/compare.md").read_text()
CONFIG = "flowers.yaml"
STUDY = Path("results/smoke/studies/flowers")
SMALL = (f"{STUDY}/summary.nc", "--configfile", "config/smoke.yaml", CONFIG, "small.yaml")


def block(language: str) -> str:
    return SECTION.split(f"```{language}\n")[1].split("```")[0]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """After everything that the example tells, short of the run."""
    example = Checkout(tmp_path_factory.mktemp("example"))
    (example.folder / CONFIG).write_text(block("yaml"))
    fewest = "{datasets: [flowers], base_models: [], rules: [], embeddings: [pca], figures: []}"
    (example.folder / "small.yaml").write_text(f"studies: {{flowers: {fewest}}}")
    subprocess.run([sys.executable, "-c", block("python")], cwd=example.folder, check=True)
    return example


@pytest.fixture(scope="module")
def finished_example(example: Checkout) -> Checkout:
    example.snakemake(*SMALL)
    return example


def test_the_command_plans_every_method_on_both_datasets(example: Checkout):
    study, *arguments = SECTION.split("```\nsnakemake ")[1].split("\n")[0].split()
    assert (study, arguments) == ("flowers", ["--cores", "2", "--configfile", CONFIG])
    jobs = example.jobs(study, "--configfile", CONFIG)
    assert (jobs["prepare_dataset"], jobs["apply_rule"], jobs["apply_hand_made_rule"]) == (2, 2, 4)
    assert (jobs["embed"], jobs["evaluate_few_shot"]) == (8, 1)
    assert "meta_train_rule" not in jobs


def test_the_readme_s_example_is_planned_by_its_command(example: Checkout):
    section = (ROOT / "README.md").read_text().split("## Your own data\n")[1].split("\n## ")[0]
    (config,) = re.findall(r"`make run CONFIG=(\S+)`", section)
    (example.folder / "mine.yaml").write_text(section.split("```yaml\n")[1].split("```")[0])
    assert f"Save this as `{config}`" in section
    jobs = example.jobs("--configfile", "mine.yaml")
    assert (jobs["prepare_dataset"], jobs["apply_rule"], jobs["apply_hand_made_rule"]) == (1, 1, 2)
    assert (jobs["embed"], jobs["evaluate_few_shot"]) == (3, 1)
    assert Path("studies/flowers/table.md") in example.outputs("--configfile", "mine.yaml")


def test_its_table_and_figures_are_not_those_of_the_default_study(example: Checkout):
    mine, default = (set(example.outputs(study, "--configfile", CONFIG)) for study in ("flowers", "default"))
    shared = {path.parts[0] for path in mine & default}
    assert shared == {"datasets", "features"}
    assert Path("studies/flowers/table.md") in mine


def test_the_dataset_and_an_evaluation_come_out(finished_example: Checkout):
    results = finished_example.folder / "results/smoke"
    dataset = read_zarr(results / "datasets/flowers.zarr")
    assert (dataset.feature.shape, dataset.class_names) == ((150, 4), ["setosa", "versicolor", "virginica"])
    assert dataset.columns[0] == "sepal length (cm)"
    accuracy = read_netcdf(finished_example.folder / STUDY / "evaluations/pca/flowers.nc").accuracy
    assert float(accuracy.sel(shots=5).mean()) > 0.7


def test_an_edit_of_the_file_reruns_what_depends_on_it(finished_example: Checkout):
    assert finished_example.jobs(*SMALL) == {}
    file = finished_example.folder / "flowers.csv"
    os.utime(file)
    assert finished_example.jobs(*SMALL) == {}
    with finished_example.edited("flowers.csv", append="5.0,3.0,1.5,0.2,setosa\n"):
        assert finished_example.jobs(*SMALL) == {"prepare_dataset": 1, "embed": 1, "evaluate_few_shot": 1}


@pytest.mark.parametrize(("path", "what"), [("none.csv", "no such file"), ("folder.csv", "is a folder")])
def test_an_absent_file_ends_with_one_line_before_any_job(checkout: Checkout, path: str, what: str):
    Path(checkout.folder, "folder.csv").mkdir(exist_ok=True)
    text = f"datasets: {{mine: {{source: file, path: {path}}}}}\n"
    checkout.jobs("--configfile", checkout.overlay(text))
    overlay = checkout.overlay(text + "studies: {default: {datasets: [mine]}}")
    done = checkout.snakemake("--dry-run", "--configfile", overlay, fails=True)
    assert done.stderr.splitlines()[-1] == f"error: datasets.mine.path: {path}: {what}"
    assert "Traceback" not in done.stdout + done.stderr


def pictures(root: Path) -> None:
    for seed, place in enumerate(("train/ant", "train/bee", "val/cat", "test/dog", "test/eel")):
        (root / place).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (9, 9), (50 * seed, 80 * number, 0)).save(root / place / f"{number}.png")


def test_a_folder_of_images_is_prepared_anew_when_an_image_is_added(example: Checkout):
    root = example.folder / "pictures"
    pictures(root)
    overlay = example.overlay("datasets: {pictures: {source: folder, path: pictures, side: 6}}\n")
    store = ("results/smoke/datasets/pictures.zarr", "--configfile", "config/smoke.yaml", overlay)
    example.snakemake(*store)
    assert read_zarr(example.folder / store[0]).image.shape == (15, 6, 6, 3)
    assert example.jobs(*store) == {}
    Image.new("RGB", (9, 9)).save(root / "test/dog/3.png")
    assert example.jobs(*store) == {"prepare_dataset": 1}
    root.rename(example.folder / "elsewhere")
    said = example.snakemake("--dry-run", *store, fails=True).stderr.splitlines()[-1]
    assert said == "error: datasets.pictures.path: pictures: no such folder"
