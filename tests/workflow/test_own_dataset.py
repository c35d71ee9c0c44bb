"""Examples of a dataset of one's own, taken from the README and from the guide; the latter's run at a small size."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, Checkout, counted
from metaplastic.io.storage import read_netcdf, read_zarr

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
    planned = example.snakemake("--dry-run", "--configfile", "mine.yaml").stdout
    jobs = counted(planned)
    assert (jobs["prepare_dataset"], jobs["apply_rule"], jobs["apply_hand_made_rule"]) == (1, 1, 2)
    assert (jobs["embed"], jobs["evaluate_few_shot"]) == (3, 1)
    assert "studies/flowers/table.md" in planned


@pytest.mark.slow
def test_the_dataset_and_an_evaluation_come_out(finished_example: Checkout):
    results = finished_example.folder / "results/smoke"
    dataset = read_zarr(results / "datasets/flowers.zarr")
    assert (dataset.feature.shape, dataset.class_names) == ((150, 4), ["setosa", "versicolor", "virginica"])
    assert dataset.columns[0] == "sepal length (cm)"
    accuracy = read_netcdf(finished_example.folder / STUDY / "evaluations/pca/flowers.nc").accuracy
    assert float(accuracy.sel(shots=5).mean()) > 0.7
