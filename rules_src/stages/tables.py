"""What stages write of a table."""

from functools import partial
from pathlib import Path

from rules_src.evaluate.page import table_page
from rules_src.storage import write_whole


def write_table(text: str, table: Path, page: Path, *, title: str) -> None:
    """Write a Markdown text to `table`, and as HTML to `page`."""
    for path, content in ((table, text), (page, table_page(title, text))):
        write_whole(path, partial(Path.write_text, data=content, encoding="utf-8"))
