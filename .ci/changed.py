"""Prints the tests that an edit concerns, for `make test-changed`: those that were edited or import what was.

`python .ci/changed.py [BASE]` compares the checkout with a revision, `main` by default.
"""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = {"metaplastic": ROOT / "rules_src", "workflow": ROOT, "benchmarks": ROOT}


def edited(base: str) -> set[Path]:
    """Return the files that differ from a revision, those that git does not know yet included."""
    commands = (["git", "diff", "--name-only", base], ["git", "ls-files", "--others", "--exclude-standard"])
    return {
        ROOT / name
        for command in commands
        for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    }


def imported(test: Path) -> set[Path]:
    """Return the files of the modules that a test imports by name."""
    names = set()
    for node in ast.walk(ast.parse(test.read_text())):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    ours = (name for name in names if name.partition(".")[0] in CODE)
    places = (CODE[name.partition(".")[0]] / name.replace(".", "/") for name in ours)
    return {file for place in places for file in (place.with_suffix(".py"), place / "__init__.py") if file.exists()}


if __name__ == "__main__":
    changed = edited(*sys.argv[1:] or ["main"])
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        if test in changed or imported(test) & changed:
            print(test.relative_to(ROOT))
