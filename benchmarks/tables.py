"""What was measured as tables; `python -m benchmarks.tables FILE...` puts them into docs/notes/speed.md."""

import json
import sys
from pathlib import Path
from typing import Any

from workflow.readme import fill

COLUMNS = {
    "seconds": "seconds",
    "inner_steps_per_second": "inner steps/s",
    "gflop": "GFLOP",
    "gflop_per_second": "GFLOP/s",
    "share": "share",
    "gigabytes_per_second": "GB/s",
    "memory_mb": "memory, MB",
    "compile_seconds": "compile, s",
}
RATIOS = {
    "seconds": "time",
    "matrix_products": "time in products",
    "share": "share",
    "memory_mb": "memory",
    # Of the processor, since compiling has no yardstick.
    "compile_cpu_seconds": "compile",
}


PAPER_META_STEPS, PAPER_TASKS, PAPER_TRUNCATION = 200_000, 256, 10
"""What Metz et al. 2019 meta-trained for, in the size of the meta-gradient that is measured here."""


def report(record: dict[str, Any]) -> str:
    """All tables of one record: each checkout's, then the ratios of the first to the second."""
    machine = record["machine"]
    trees = record["trees"]
    parts = []
    for tree in trees:
        programs = tree["programs"]
        heading = (
            f"{tree['revision']} on {machine['processor']}, {machine['cores']} cores, JAX {machine['jax']} on "
            f"{machine['device']}; a matrix product ran at {record['product_gflop_per_second']:.0f} GFLOP/s, a copy at "
            f"{record['copied_gigabytes_per_second']:.0f} GB/s:"
        )
        parts += [heading, speed_table(programs), *_rules_compared(programs), *_projected(programs)]
    if len(trees) == 2:
        current, base = trees
        parts += [
            f"{current['revision']} relative to {base['revision']}:",
            ratio_table(*(t["programs"] for t in trees)),
        ]
    return "\n\n".join(parts)


def speed_table(programs: dict[str, dict[str, float]]) -> str:
    """One row a program."""
    rows = [[name, *(cell(column, numbers[column]) for column in COLUMNS)] for name, numbers in programs.items()]
    return markdown(["", *COLUMNS.values()], rows)


def ratio_table(current: dict[str, dict[str, float]], base: dict[str, dict[str, float]]) -> str:
    """Numbers of `current` over those of `base`, for the programs that both have."""
    rows = [
        [name, *(f"{numbers[column] / base[name][column]:.2f}" for column in RATIOS)]
        for name, numbers in current.items()
        if name in base
    ]
    return markdown(["", *RATIOS.values()], rows)


def _rules_compared(programs: dict[str, dict[str, float]]) -> list[str]:
    """How much longer an inner step of the published rule takes, where both rules were measured."""
    steps = [programs.get(f"inner step, {rule}") for rule in ("published", "compact")]
    if not all(steps):
        return []
    published, compact = (step["matrix_products"] for step in steps if step)
    return [f"An inner step of the published rule takes {published / compact:.1f} times as long as the compact rule's."]


def _projected(programs: dict[str, dict[str, float]]) -> list[str]:
    """How long the paper's meta-training would take at the rate of each meta-gradient of full size."""
    inner_steps = PAPER_META_STEPS * PAPER_TASKS * PAPER_TRUNCATION
    days = [
        f"{inner_steps / numbers['inner_steps_per_second'] / 86_400:,.1f} days ({name.removeprefix('meta-gradient, ')})"
        for name, numbers in programs.items()
        if name.startswith("meta-gradient") and "toy" not in name
    ]
    what = f"{PAPER_META_STEPS:,} meta-steps of {PAPER_TASKS} tasks x {PAPER_TRUNCATION} inner steps"
    return [f"At these rates {what} take {', '.join(days)}."] if days else []


def cell(column: str, value: float) -> str:
    """A number with three digits, or a share in percent."""
    return f"{value:.1%}" if column == "share" else f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:,.0f}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, padded so that it reads well as it stands."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: list[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    ruled = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), line(ruled), *map(line, rows)])


if __name__ == "__main__":
    notes = Path(__file__).parents[1] / "docs/notes/speed.md"
    records = [json.loads(Path(file).read_text()) for file in sys.argv[1:]]
    notes.write_text(fill(notes.read_text(), "results", "\n\n".join(map(report, records))))
