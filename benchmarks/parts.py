"""Parts of a measurement, each in a process of its own with a deadline; what they find is kept row by row."""

import json
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
from metaplastic.io.jax_settings import ENVIRONMENT, configure_jax
from metaplastic.io.memory import device_memory, peak
from metaplastic.io.storage import write_whole

from benchmarks.tables import cell, markdown

LEAST = 10.0
"""Seconds below which no process is worth its start."""
VERSIONS = "jax", "jaxlib", "numpy", "equinox", "optax"
OVER = "its time was over"
WORDS = "note", "error"
"""What a row says below the table."""

Numbers = dict[str, Any]
"""A row of a table: numbers or words by the heads of their columns."""
Rows = Iterator[tuple[str, Callable[[], Numbers | Iterator[Numbers]]]]
"""Names of rows, and what measures each, at once or better and better."""


class Given(NamedTuple):
    """What a part is given."""

    folder: Path
    until: float
    """Its deadline by `time.time`."""
    small: bool = False
    """Whether all of it is a rehearsal."""
    name: str = ""
    """Key of the meta-training."""


class Part(NamedTuple):
    """One part of what is measured."""

    rows: Callable[[Given], Rows]
    share: int
    """Of the time left when it begins, relative to the shares of the parts after it."""
    goes_on: bool = False
    """Whether there is more to do when all has been measured once."""


def measure_parts(parts: Mapping[str, Part], given: Given) -> str:
    """Measure what the folder's record lacks, one part after another, and return its page."""
    # As the workflow's jobs are started. No part may find the device in the hands of this process.
    os.environ.update({**ENVIRONMENT, **os.environ})
    for index, (name, part) in enumerate(parts.items()):
        if recorded(given.folder)["parts"].get(name, {}).get("state") == "whole" and not part.goes_on:
            continue
        share = part.share / sum(each.share for each in [*parts.values()][index:])
        limit = share * max(given.until - time.time(), 0.0)
        why = f"skipped: {limit:.0f} s were left for it"
        if limit >= LEAST:
            why = ended(name, part, given._replace(until=time.time() + limit), limit)
        record = recorded(given.folder)
        this = record["parts"].setdefault(name, {"about": "", "rows": {}})
        if why:
            this["state"] = why
        keep(given.folder, record)
    return page(recorded(given.folder))


def ended(name: str, part: Part, given: Given, limit: float) -> str:
    """Let a process measure a part, and return what ended it, if not the part."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=(name, part, given))
    process.start()
    process.join(limit)
    if process.is_alive():
        process.kill()
        process.join()
        return f"stopped after {limit:.0f} s, its share of the time"
    return f"failed: its process ended with exit code {process.exitcode}" if process.exitcode else ""


def work(name: str, part: Part, given: Given) -> None:
    """Measure a part in this process; every row is kept at once, and those that were good before stay."""
    configure_jax()
    begin, record = time.time(), recorded(given.folder)
    before = {} if part.goes_on else record["parts"].get(name, {}).get("rows", {})
    rows = {row: numbers for row, numbers in before.items() if "error" not in numbers}
    this: dict[str, Any] = {"about": str(part.rows.__doc__), "state": "begun", "rows": rows}
    record["parts"][name] = this

    def kept() -> None:
        record["machine"] = machine()
        this["seconds"], this["peak memory, GB"] = time.time() - begin, most_memory() / 1e9
        keep(given.folder, record)

    try:
        kept()
        for row, measure in part.rows(given):
            if row in rows:
                continue
            try:
                found = measure() if time.time() < given.until else {"error": OVER}
                for numbers in [found] if isinstance(found, dict) else found:
                    rows[row] = numbers
                    kept()
            except Exception as error:
                rows[row] = {**rows.get(row, {}), "error": one_line(error)}
                kept()
        this["state"] = "with errors" if any("error" in numbers for numbers in rows.values()) else "whole"
    except Exception as error:
        this["state"] = f"failed: {one_line(error)}"
    kept()


def one_line(error: Exception) -> str:
    """Return what went wrong, cut where it gets long."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:160]


def machine() -> dict[str, Any]:
    """Describe the device, the machine and the packages, without the machine's name."""
    device = jax.devices()[0]
    return {
        "device": device.device_kind,
        "devices": jax.device_count(),
        "memory, GB": device_memory() / 1e9,
        "cores": len(os.sched_getaffinity(0)),
        "platform": " ".join(device.client.platform_version.split()),
        "Python": platform.python_version(),
        **{package: version(package) for package in VERSIONS},
    }


def most_memory() -> int:
    """Return the most bytes of the accelerator that this process has had, or of the machine where there is none."""
    return int((jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", peak()))


def recorded(folder: Path) -> dict[str, Any]:
    """Read what earlier parts and calls have found."""
    file = folder / "on_gpu.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"machine": {}, "parts": {}}
    return found


def keep(folder: Path, record: dict[str, Any]) -> None:
    """Write the record and its page."""
    write_whole(folder / "on_gpu.json", lambda file: file.write_text(json.dumps(record, indent=1) + "\n"))
    write_whole(folder / "on_gpu.md", lambda file: file.write_text(page(record) + "\n"))


def page(record: dict[str, Any]) -> str:
    """Return the record as Markdown."""
    heads = ["seconds", "peak memory, GB"]
    overview = [
        [name, *(text(head, part.get(head, "")) for head in heads), part["state"]]
        for name, part in record["parts"].items()
    ]
    lines = [
        "# Measured on " + record["machine"].get("device", "nothing yet"),
        markdown(["", "machine"], [[name, text(name, value)] for name, value in record["machine"].items()])
        if record["machine"]
        else "",
        markdown(["part", *heads, "state"], overview) if overview else "",
    ]
    for name, part in record["parts"].items():
        rows = {
            row: {head: numbers[head] for head in numbers if head not in WORDS} for row, numbers in part["rows"].items()
        }
        heads = list(dict.fromkeys(head for numbers in rows.values() for head in numbers))
        cells = [
            [row, *(text(head, numbers.get(head, "")) for head in heads)] for row, numbers in rows.items() if numbers
        ]
        table = [markdown(["", *heads], cells)] if cells else []
        said = [f"- {row}: {numbers[w]}" for row, numbers in part["rows"].items() for w in WORDS if w in numbers]
        lines += [f"## {name}", part["about"], *table, "\n".join(said)]
    return "\n\n".join(filter(None, lines))


def text(head: str, value: Any) -> str:
    """Return a cell of a table."""
    return cell(head, value) if isinstance(value, float) else str(value).replace("|", "/")
