import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from known import known

ROOT = Path(__file__).parents[2]


# Importing Snakemake takes longer than planning with it: each of its runs is forked from a process that has done so.
STARTED = multiprocessing.get_context("forkserver")
STARTED.set_forkserver_preload(
    [
        *("snakemake.cli", "snakemake.api", "snakemake.workflow", "snakemake.dag", "snakemake.report.html_reporter"),
        *("snakemake_logger_plugin_rich", "rich.logging", "rich.progress", "docutils.core", "jinja2", "numpy", "dpath"),
        *("PIL.Image", "requests", "pygments.lexers", "metaplastic.config.load", "metaplastic.config.checks"),
        *("metaplastic.config.needs", "metaplastic.io.jax_settings", "tests.workflow.preloaded"),
    ]
)


def _snakemake(folder: Path, arguments: list[str], environment: dict[str, str], own: bool, *streams) -> None:
    """What `python -m snakemake` does in `folder`, in this process, where `own` with that folder's specs and plans."""
    from snakemake.cli import main

    if own:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("metaplastic", "workflow")]:
            del sys.modules[name]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.detach(), number)
    sys.path.insert(0, str(folder))
    sys.argv = ["snakemake", *arguments]
    main(arguments)


class Checkout:
    """A copy of what a checkout holds, and Snakemake run in it with nothing activated."""

    def __init__(self, folder: Path, *, own: bool = False):
        self.folder, self.own = folder, own
        for name in ("workflow", "config", "rules_src", "data/pretrained"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "Snakefile", folder)
        (folder / "profiles").symlink_to("workflow/profiles")
        (folder / "config/config.yaml").write_text(yaml.safe_dump(known()))

    def snakemake(self, *arguments: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        command = ["--cores", "2", *arguments]
        environment = {"HOME": str(self.folder), "PATH": os.defpath, "LANG": "C.UTF-8"}
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            streams = [multiprocessing.reduction.DupFd(stream.fileno()) for stream in (output, errors)]
            process = STARTED.Process(target=_snakemake, args=(self.folder, command, environment, self.own, *streams))
            process.start()
            process.join()
            texts = [stream.seek(0) or stream.read() for stream in (output, errors)]
        done = subprocess.CompletedProcess(command, process.exitcode or 0, *texts)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done

    def error(self, *arguments: str) -> str:
        """The line that a dry run ends with which fails."""
        done = self.snakemake("--dry-run", *arguments, fails=True)
        assert "Traceback" not in done.stdout + done.stderr
        return done.stderr.splitlines()[-1]

    def jobs(self, *arguments: str) -> dict[str, int]:
        """Number of jobs of each rule in a dry run."""
        return counted(self.snakemake("--dry-run", *arguments).stdout)

    def outputs(self, *arguments: str) -> dict[Path, bool]:
        """Every output of the workflow, relative to the results folder, and whether a run would make it anew."""
        rows = [row.split("\t") for row in self.snakemake("--summary", *arguments).stdout.splitlines()]
        header, *rows = rows[[row[0] for row in rows].index("output_file") :]
        plan = header.index("plan")
        return {Path(row[0]).relative_to("results"): row[plan] != "no update" for row in rows}

    def pending(self, *arguments: str) -> set[str]:
        """Outputs that a run would make anew, without suffixes."""
        return {stem(path) for path, update in self.outputs(*arguments).items() if update}

    def finish(self) -> None:
        """Leave the state that a finished run leaves as far as Snakemake can tell: empty outputs, true records."""
        for output in self.outputs():
            path = self.folder / "results" / output
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in {".zarr", ""}:
                path.mkdir()
            else:
                path.write_text(str(output))
        self.snakemake("--touch", "--forceall")

    @contextmanager
    def edited(self, file: str, *, append: str = "", replace: tuple[str, str] = ("", "")) -> Iterator[None]:
        path, own = self.folder / file, self.own
        text = path.read_text()
        assert replace[0] in text
        path.write_text(text.replace(*replace, 1) + append)
        self.own = own or path.name == "spec.py" or path.parent.name == "workflow"
        try:
            yield
        finally:
            path.write_text(text)
            self.own = own

    def overlay(self, text: str) -> str:
        """A config file to lay over the default one."""
        path = self.folder / "overlay.yaml"
        path.write_text(text)
        return str(path)


def counted(dry_run: str) -> dict[str, int]:
    """Number of jobs of each rule in what a dry run prints."""
    lines = iter(dry_run.splitlines())
    if not any(line == "Job stats:" for line in lines):
        return {}
    next(lines), next(lines)
    table = dict(line.split() for line in iter(lambda: next(lines).strip(), ""))
    return {rule: int(count) for rule, count in table.items() if rule != "total"}


def stem(path: Path) -> str:
    return str(path.with_name(path.name.split(".")[0]))
