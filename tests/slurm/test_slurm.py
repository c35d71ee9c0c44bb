"""The smallest study through the profile `slurm`, on a real Slurm that is started for it; minutes long.

Run by `make test-slurm`; without Slurm's programs nothing of it runs.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster import NODES, Cluster, missing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"not installed here: {', '.join(missing())}"),
]
ROOT = Path(__file__).parents[2]
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
PROFILE = ["--profile", "workflow/profiles/slurm", "--slurm-status-command", "squeue", "--latency-wait", "5"]
PROFILE += ["--slurm-init-seconds-before-status-checks", "3", "--cores", "2", "--resources", "mem_mb=16000"]
LOCAL = ["--cores", "2"]
PATIENCE = 3600
"""Seconds that a run may take; minutes where nothing else has the machine's cores."""
LONG = {"meta_steps": 20_000, "held_out": {"every": 200}}
META_TRAIN = "meta_train"
METHODS, DATASETS = ("learned", "random-init", "pca", "vae"), ("digits", "mnist-5k")


class Study:
    """A checkout in a folder of its own, and the workflow run in it."""

    def __init__(self, folder: Path, cluster: Cluster, run: dict[str, object]) -> None:
        self.folder, self.cluster = folder, cluster
        for name in ("workflow", "config", "rules_src"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "Snakefile", folder)
        (folder / "more.yaml").write_text(yaml.safe_dump({"meta_train": {"compact-letters": run}}))
        self.results = folder / "results/smoke"
        self.before = set(cluster.jobs())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {**self.cluster.environment, "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache/jax")}
        return subprocess.Popen(
            # Targets first: many options take every word that follows them.
            [*SNAKEMAKE, *arguments, "--configfile", "config/smoke.yaml", "more.yaml"],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, fails: bool = False) -> str:
        process = self.start(*arguments)
        output = self.end(process)
        assert (process.returncode != 0) == fails, output
        return output

    def end(self, process: subprocess.Popen[str]) -> str:
        """What a run that was started says; one that takes too long is ended, its jobs too."""
        try:
            return process.communicate(timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            self.cluster.cancel()
            raise AssertionError(f"not done after {PATIENCE} s: {process.communicate()[0]}") from None

    def jobs(self) -> list[dict[str, str]]:
        """Slurm's account of this study's jobs, in the order of submission."""
        return [job for number, job in sorted(self.cluster.jobs().items()) if number not in self.before]

    def rules(self) -> Counter[str]:
        """Jobs of Slurm by what their comment says, the rule or the group."""
        return Counter(job["Comment"].removeprefix("rule_").split("_wildcards")[0] for job in self.jobs())

    def log(self) -> list[str]:
        """What the meta-training job that ran last has said."""
        (log,) = self.results.glob("logs/meta_train_rule/*/*.log")
        return log.read_text().splitlines()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Sockets have short paths.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, Cluster(Path(folder)) as cluster:
        yield cluster


def _study(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster, **run: object) -> Study:
    return Study(tmp_path_factory.mktemp("study"), cluster, run)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Study:
    study = _study(tmp_path_factory, cluster, processes=2)
    study.run(*PROFILE)
    return study


def test_every_job_runs_on_slurm_and_evaluations_together(finished: Study) -> None:
    assert all(job["JobState"] == "COMPLETED" for job in finished.jobs())
    rules = finished.rules()
    print(f"jobs of Slurm: {dict(rules)}")
    assert rules["meta_train_together"] == 1
    assert rules["prepare_dataset"] == 3
    # Eight evaluations are one job.
    assert sum(rules.values()) == 3 + 1 + 4 + 4 + 1 + 4


def test_meta_training_is_on_two_nodes_and_only_what_learns_has_a_gpu(finished: Study) -> None:
    (together,) = [job for job in finished.jobs() if "meta_train_together" in job["Comment"]]
    # Each node has one GPU.
    assert (together["NumNodes"], together["NumTasks"], together["CPUs/Task"]) == ("2", "2", "1")
    with_gpu = {job["Comment"].split("_wildcards")[0] for job in finished.jobs() if "gpu" in job.get("TresPerJob", "")}
    assert with_gpu == {"rule_apply_rule", "rule_meta_train_together"}


def test_results_are_those_of_a_run_without_slurm(
    finished: Study, tmp_path_factory: pytest.TempPathFactory, cluster: Cluster
) -> None:
    local = _study(tmp_path_factory, cluster, processes=2)
    local.run(*LOCAL)
    assert not local.jobs()
    manifests = [path.relative_to(local.results) for path in local.results.rglob("*.manifest.json")]
    assert len(manifests) == 3 + 2 + len(METHODS) * len(DATASETS)
    for manifest in manifests:
        contents = [json.loads((study.results / manifest).read_text())["content_sha256"] for study in (local, finished)]
        assert contents[0] == contents[1], manifest
    # Of the tables one also tells how many seconds things took.
    figures = sorted(path.relative_to(local.results) for path in local.results.rglob("*.svg"))
    assert len(figures) == 4
    for file in [Path("studies/default/table.csv"), *figures]:
        assert (local.results / file).read_bytes() == (finished.results / file).read_bytes(), file


def test_a_job_that_takes_too_much_memory_gets_more(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> None:
    study = _study(tmp_path_factory, cluster)
    target = "results/smoke/features/small/random-init/digits.zarr"
    # Whatever the command line says of defaults, rules keep what they ask for.
    options = ["--default-resources", "slurm_partition=main", "--set-resources"]
    study.run(target, *PROFILE, *options, "apply_hand_made_rule:mem_mb=150*attempt**3")
    dataset, *applied = study.jobs()
    print([(job["JobState"], job["MinMemoryNode"], job["RunTime"]) for job in applied])
    assert dataset["MinMemoryNode"] == "6000M"
    assert [job["MinMemoryNode"] for job in applied][:2] == ["150M", "1200M"]
    assert [job["JobState"] == "COMPLETED" for job in applied] == [False] * (len(applied) - 1) + [True]
    assert (study.folder / target).exists()


def test_a_job_that_runs_out_of_time_goes_on_where_it_was(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster):
    study = _study(tmp_path_factory, cluster, **LONG)
    limit = ["--set-resources", "meta_train_rule:runtime=60*attempt-59"]
    study.run(META_TRAIN, *PROFILE, *limit)
    trained = [job for job in study.jobs() if "meta_train_rule" in job["Comment"]]
    print([(job["JobState"], job["TimeLimit"], job["RunTime"]) for job in trained], study.log()[0])
    assert [job["JobState"] for job in trained] == ["TIMEOUT", "COMPLETED"]
    assert int(study.log()[0].split()[0]) > 0


def test_a_node_that_goes_down_loses_nothing(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> None:
    study = _study(tmp_path_factory, cluster, **LONG)
    process = study.start(META_TRAIN, *PROFILE)
    states = "meta_train/*/seed-0/state/*/step-*"
    cluster.wait(lambda: len(list(study.results.glob(states))) > 1 or process.poll() is not None, seconds=PATIENCE)
    assert process.poll() is None, process.communicate()[0]
    (job,) = [job for job in study.jobs() if "meta_train_rule" in job["Comment"]]
    node = job["NodeList"]
    assert node in NODES
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        output = study.end(process)
    finally:
        cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    assert process.returncode == 0, output
    trained = [job for job in study.jobs() if "meta_train_rule" in job["Comment"]]
    print([(job["JobState"], job["NodeList"], job["Restarts"]) for job in trained], study.log()[0])
    assert trained[-1]["JobState"] == "COMPLETED"
    assert trained[-1]["NodeList"] != node
    assert int(study.log()[0].split()[0]) > 0


def test_a_partition_that_demands_an_account_says_so(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster):
    study = _study(tmp_path_factory, cluster)
    options = ["--default-resources", "slurm_partition=paid", "--retries", "0"]
    output = study.run("results/smoke/datasets/digits.zarr", *PROFILE, *options, fails=True)
    assert "Batch job submission failed: Invalid account or account/partition combination specified" in output
    assert not list(study.results.rglob("*.zarr"))


def test_everything_is_taken_down_again() -> None:
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, Cluster(Path(folder)) as cluster:
        daemons = [daemon.pid for daemon in cluster.daemons]
        # A program that the job does not wait for, in a session of its own.
        cluster.run("sbatch", "--output=/dev/null", "--wrap", "setsid --fork sleep 1000")
        cluster.wait(lambda: any(program.name() == "sleep" for program in cluster.programs()))
    time.sleep(0.5)
    assert not [pid for pid in daemons if Path(f"/proc/{pid}").exists()]
    assert not cluster.programs()
    assert os.environ.get("SLURM_CONF") is None
