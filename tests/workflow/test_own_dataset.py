"""The README's example of a dataset of one's own, taken from its text and run at a small size."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, Checkout

from rules_src.storage import read_netcdf, read_zarr

SECTION = (ROOT / "README.md").read_text().split("## Compare on your own dataset\n")[1].split("\n## ")[0]
CONFIG = "flowers.yaml"
EVALUATION = "results/smoke/evaluate/small/pca/flowers.nc"
SMALL = (EVALUATION, "--configfile", "config/smoke.yaml", CONFIG)


def block(language: str) -> str:
    return SECTION.split(f"```{language}\n")[1].split("```")[0]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """After everything that the example tells, short of the run."""
    example = Checkout(tmp_path_factory.mktemp("example"))
    (example.folder / CONFIG).write_text(block("yaml"))
    subprocess.run([sys.executable, "-c", block("python")], cwd=example.folder, check=True)
    return example


@pytest.fixture(scope="module")
def finished_example(example: Checkout) -> Checkout:
    example.snakemake(*SMALL)
    return example


def test_the_command_plans_every_method_on_both_datasets(example: Checkout):
    command, *arguments = SECTION.split("```\nsnakemake ")[1].split("\n")[0].split()
    assert (command, arguments[-1]) == ("--cores", CONFIG)
    jobs = example.jobs(*arguments[1:])
    assert (jobs["prepare_dataset"], jobs["meta_train_rule"]) == (4, 1)
    assert (jobs["apply_rule"], jobs["embed_baseline"], jobs["evaluate_few_shot"]) == (12, 6, 18)


def test_the_dataset_and_an_evaluation_come_out(finished_example: Checkout):
    results = finished_example.folder / "results/smoke"
    dataset = read_zarr(results / "datasets/flowers.zarr")
    assert (dataset.feature.shape, dataset.class_names) == ((150, 4), ["setosa", "versicolor", "virginica"])
    assert dataset.columns[0] == "sepal length (cm)"
    accuracy = read_netcdf(finished_example.folder / EVALUATION).accuracy
    assert float(accuracy.sel(shots=5).mean()) > 0.7


def test_an_edit_of_the_file_reruns_what_depends_on_it(finished_example: Checkout):
    assert finished_example.jobs(*SMALL) == {}
    file = finished_example.folder / "flowers.csv"
    os.utime(file)
    assert finished_example.jobs(*SMALL) == {}
    with finished_example.edited("flowers.csv", append="5.0,3.0,1.5,0.2,setosa\n"):
        assert finished_example.jobs(*SMALL) == {"prepare_dataset": 1, "embed_baseline": 1, "evaluate_few_shot": 1}


@pytest.mark.parametrize(("path", "what"), [("none.csv", "no such file"), ("folder.csv", "is a folder")])
def test_an_absent_file_ends_with_one_line_before_any_job(checkout: Checkout, path: str, what: str):
    Path(checkout.folder, "folder.csv").mkdir(exist_ok=True)
    text = f"datasets: {{mine: {{source: file, path: {path}}}}}\n"
    checkout.jobs("--configfile", checkout.overlay(text))
    overlay = checkout.overlay(text + "study: {datasets: [mine]}")
    done = checkout.snakemake("--dry-run", "--configfile", overlay, fails=True)
    assert done.stderr.splitlines()[-1] == f"error: datasets.mine.path: {path}: {what}"
    assert "Traceback" not in done.stdout + done.stderr
