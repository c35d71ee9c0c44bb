"""Makes notebooks of guides: `python -m workflow.notebooks`, a part of `make readme`."""

import json
import re
from pathlib import Path
from typing import Any

NOTEBOOKS = {
    "docs/guides/features.md": "docs/notebooks/features.ipynb",
    "docs/guides/few-shot.md": "docs/notebooks/few-shot.ipynb",
}
"""Guides, each with its notebook."""
CELL = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def notebook(guide: str) -> str:
    """Return the notebook of a guide, as JSON: a cell for each block of Python or of commands, and the text between."""
    # Links to pages beside the guide.
    parts = CELL.split(re.sub(r"\]\((?!\.\./|https?:)", "](../guides/", guide))
    cells = [_cell("markdown", parts[0])]
    for language, code, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        cells += [_cell("code", code if language == "python" else f"%%bash\n{code}"), _cell("markdown", text)]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    numbered = [{"id": f"cell-{place}", **cell} for place, cell in enumerate(cells) if cell["source"]]
    return json.dumps({"cells": numbered, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def _cell(kind: str, text: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "metadata": {}, "source": text.strip().splitlines(keepends=True)}
    return cell | {"execution_count": None, "outputs": []} if kind == "code" else cell


if __name__ == "__main__":
    for guide, made in NOTEBOOKS.items():
        Path(made).parent.mkdir(exist_ok=True)
        Path(made).write_text(notebook(Path(guide).read_text(encoding="utf-8")), encoding="utf-8")
