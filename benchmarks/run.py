"""`python -m benchmarks.run`: measure the checkout, or with `--base REVISION` it and another revision in turn."""

import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from metaplastic.io.errors import InputError
from metaplastic.io.jax_settings import ENVIRONMENT
from metaplastic.stages.command import run
from typer import Option

from benchmarks.tables import report

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results/speed"


def measure(
    base: Annotated[str | None, Option(help="Revision to measure in turn with the checkout.")] = None,
    only: Annotated[
        str, Option(help="Words that a program's name has to hold, joined by `and`; nothing is kept.")
    ] = "",
) -> None:
    """Measure speed, memory and compilation; print the tables and keep the numbers in results/speed."""
    revisions = [_git("describe", "--always", "--dirty", "--exclude=*").decode().strip()]
    with TemporaryDirectory() as folder:
        trees, raw = [ROOT], Path(folder) / "raw.json"
        if base is not None:
            trees.append(Path(folder) / "base")
            revisions.append(check_out(base, trees[1]))
        options = [
            "-k",
            only,
            "-c",
            "benchmarks/pytest.ini",
            f"--benchmark-json={raw}",
            *(f"--tree={tree}" for tree in trees),
        ]
        # As the workflow's jobs are started.
        env = {**ENVIRONMENT, **os.environ}
        done = subprocess.run([sys.executable, "-m", "pytest", *options, "benchmarks"], cwd=ROOT, env=env, check=False)
        if not raw.exists():
            raise InputError("no program could be measured; the reasons stand above")
        record = summary(json.loads(raw.read_text()), revisions)
    print(f"\n{report(record)}")
    if not only:
        RESULTS.mkdir(parents=True, exist_ok=True)
        file = RESULTS / f"{'-against-'.join(revisions)}.json"
        file.write_text(json.dumps(record, indent=1) + "\n")
        print(f"\nNumbers: {file.relative_to(ROOT)}")
    sys.exit(done.returncode)


def check_out(revision: str, folder: Path) -> str:
    """Write the package of a revision to `folder` and return the revision's short name.

    Raises:
        InputError: there is no such revision, or it is older than `rules_src/metaplastic`.
    """
    try:
        commit = _git("rev-parse", "--short", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except subprocess.CalledProcessError as error:
        raise InputError(f"BASE: {revision!r} is no revision of this repository") from error
    name = commit.decode().strip()
    try:
        archive = _git("archive", name, "rules_src/metaplastic")
    except subprocess.CalledProcessError as error:
        raise InputError(f"BASE: {revision!r} has no rules_src/metaplastic") from error
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return name


def summary(raw: dict[str, Any], revisions: list[str]) -> dict[str, Any]:
    """What is kept of pytest-benchmark's record: derived numbers and a description of the machine without its name."""
    machine = raw["machine_info"]
    measured = {each["extra_info"]["program"]: each["extra_info"]["trees"] for each in raw["benchmarks"]}
    everything = [numbers for trees in measured.values() for numbers in trees]
    return {
        "machine": {
            "processor": machine["cpu"].get("brand_raw", machine["machine"]),
            "cores": machine["cpu"].get("count"),
            "device": machine["device"],
            "python": machine["python_version"],
            "jax": machine["jax"],
        },
        "product_gflop_per_second": median(numbers["product_gflop_per_second"] for numbers in everything),
        "copied_gigabytes_per_second": median(numbers["copied_gigabytes_per_second"] for numbers in everything),
        "trees": [
            {
                "revision": revision,
                "programs": {program: trees[index] for program, trees in measured.items() if index < len(trees)},
            }
            for index, revision in enumerate(revisions)
        ],
    }


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


if __name__ == "__main__":
    run(measure)
