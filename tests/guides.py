"""What tests read of the guides."""

import re
from pathlib import Path

GUIDES = Path(__file__).parents[1] / "docs/guides"
BLOCK = re.compile(r"^```(\w+)?(?: title=\"([^\"\n]*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, title and text of every block of code of a page."""
    return BLOCK.findall(page.read_text())
