"""The smallest complete study, run for real and looked at; and one that was killed and run again."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from metaplastic.io.storage import check_manifest, manifest_path, read_netcdf
from metaplastic.results.names import names
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
# Last, since `--configfile` takes every word that follows it.
OPTIONS = ["--cores", "2", "--configfile", "config/smoke.yaml", "less.yaml"]
RULES, EMBEDDINGS = {"learned", "random-init"}, {"pca", "vae"}
METHODS = RULES | EMBEDDINGS
DATASETS = {"mnist-5k"}
FIGURES = {"meta_training_curves", "first_layer_filters"}
LESS = {
    "studies": {"default": {"datasets": [*DATASETS], "figures": sorted(FIGURES)}},
    # Tasks of the same dataset: rendering letters takes longer than all else.
    "datasets": {"mnist-5k": {"side": 14}},
    "meta_train": {
        "compact-letters": {
            "tasks": {"sources": {"letters": {"kind": "images", "dataset": "mnist-5k"}}},
            "held_out": {"datasets": []},
        }
    },
}


class Study:
    def __init__(self, folder: Path):
        for name in ("workflow", "config", "rules_src"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "Snakefile", folder)
        (folder / "less.yaml").write_text(json.dumps(LESS))
        self.folder = folder
        self.results = folder / "results/smoke"
        self.environment = {
            "HOME": str(folder),
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            # What an earlier run of these tests compiled is worth keeping.
            "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache/jax"),
            # What is compiled runs for seconds.
            **{name: os.environ[name] for name in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")},
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*SNAKEMAKE, *arguments, *OPTIONS],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, fails: bool = False) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate()
        assert (process.returncode != 0) == fails, output
        return output


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study(tmp_path_factory.mktemp("study"))
    study.run()
    return study


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_that_looks_finished_and_the_next_one_goes_on(tmp_path: Path):
    study, trained = Study(tmp_path), "meta_train/*/seed-0"
    process = study.start()
    while process.poll() is None and not list(study.results.glob(f"{trained}/state/*/step-*")):
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()[0]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    for store in study.results.rglob("*.zarr"):
        if manifest_path(store).exists():
            check_manifest(store)
    assert not list(study.results.glob(f"{trained}/snapshots"))
    (first,) = study.results.glob(f"{trained}/state/*/snapshots/step-000000.safetensors")
    written = first.stat().st_mtime_ns
    study.run("--unlock")
    study.run("--rerun-incomplete")
    assert first.stat().st_mtime_ns == written
    assert len(list(first.parent.iterdir())) == 3


def test_every_part_of_theta_learns(finished: Study):
    (snapshots,) = finished.results.glob("meta_train/*/seed-0/snapshots")
    before, after = (load_file(snapshots / f"step-{step:06d}.safetensors") for step in (0, 4))
    assert not [name for name in before if (before[name] == after[name]).all()]


def test_every_store_agrees_with_its_manifest(finished: Study):
    stores = [*finished.results.rglob("*.zarr"), *finished.results.rglob("*.safetensors")]
    stores = [store for store in stores if {"state", "snapshots"}.isdisjoint(store.parts)]
    stores += finished.results.glob("meta_train/*/seed-0/snapshots")
    assert len(stores) == 1 + 2 + len(METHODS) * len(DATASETS)
    for store in stores:
        record = check_manifest(store)
        assert record["spec"]
        assert len(record["code"]) == 12


def test_the_summary_holds_every_method_and_dataset(finished: Study):
    summary = read_netcdf(finished.results / "studies/default/summary.nc")
    text = str({name: values.values.tolist() for name, values in summary.coords.items()})
    table = (finished.results / "studies/default/table.md").read_text()
    called = names(summary["kind"].to_series().to_dict())
    for name in METHODS | DATASETS:
        assert f"'{name}'" in text
        assert f"| {called.get(name, name)} |" in table


def test_every_figure_is_drawn(finished: Study):
    assert {path.stem for path in (finished.results / "studies/default/figures").iterdir()} == FIGURES
    for figure in FIGURES:
        path = finished.results / "studies/default/figures" / figure
        assert ElementTree.parse(path.with_suffix(".svg")).getroot().tag.endswith("svg")  # noqa: S314
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_every_job_leaves_a_log_and_a_benchmark(finished: Study):
    logs = {path.relative_to(finished.results / "logs").with_suffix("") for path in finished.results.rglob("*.log")}
    benchmarks = {
        path.relative_to(finished.results / "benchmarks").with_suffix("") for path in finished.results.rglob("*.tsv")
    }
    assert logs == benchmarks
    assert len(logs) == 1 + 1 + len(METHODS) + 1 + len(FIGURES)


def test_a_second_run_has_nothing_to_do(finished: Study):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "Nothing to be done" in finished.run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Seconds of a processor, those in the kernel included.
    assert sum(after[:2]) - sum(before[:2]) < 10


def test_the_report_holds_every_figure(finished: Study):
    finished.run("--report", "report.html")
    report = (finished.folder / "report.html").read_text()
    for figure in FIGURES:
        assert figure in report


def test_a_run_leaves_nothing_outside_of_results(finished: Study):
    visible = {path.name for path in finished.folder.iterdir() if not path.name.startswith(".")}
    given = {"workflow", "config", "rules_src", "Snakefile", "less.yaml"}
    assert visible - given - {"report.html"} <= {"results", "data"}
    assert {path.name for path in finished.results.glob("features/vae/state/*")} == DATASETS


@pytest.mark.parametrize(
    ("about", "check"),
    [
        pytest.param(
            "meta_train",
            "assert features.shape == (500, 32) and np.isfinite(features).all()",
            marks=pytest.mark.slow,
        ),
        ("to_dataframe", "assert {'dataset', 'shots'} <= set(summary.accuracy.dims)"),
        ("curves.png", "assert {line.get_xdata().size for line in plt.gca().lines} == {2}"),
    ],
)
def test_the_guides_examples_read_the_results_of_a_finished_run(finished: Study, about: str, check: str):
    guides = "".join((ROOT / f"docs/guides/{name}.md").read_text() for name in ("compare", "workflow"))
    blocks = [block.split("```")[0] for block in guides.split("```python\n")[1:]]
    (example,) = [block.replace("results/", "results/smoke/") for block in blocks if about in block]
    command = [sys.executable, "-c", f"{example}\n{check}\n"]
    done = subprocess.run(
        command, cwd=finished.folder, env=finished.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_truncated_store_ends_the_job_that_reads_it(finished: Study):
    features = finished.results / "features/pca/mnist-5k.zarr"
    study = finished.results / "studies/default"
    summary, evaluation = study / "summary.nc", study / "evaluations/pca/mnist-5k.nc"
    chunk = max((file for file in features.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    whole = chunk.read_bytes()
    target, others = str(summary.relative_to(finished.folder)), summary.read_bytes()
    summary.unlink()
    evaluation.unlink()
    chunk.write_bytes(whole[: len(whole) // 2])
    try:
        output = finished.run(target, fails=True)
    finally:
        chunk.write_bytes(whole)
    log = (finished.results / "logs/evaluate/default.log").read_text()
    line = log.splitlines()[-1]
    assert line.startswith("error: ")
    assert f"{features.relative_to(finished.folder)}: truncated or changed since it was written" in line
    assert line in output
    assert "Traceback" not in log
    assert not summary.exists()
    assert not evaluation.exists()
    finished.run(target)
    assert evaluation.exists()
    assert summary.read_bytes() == others
