"""What stages write of a table."""

from functools import partial
from pathlib import Path

from metaplastic.io.storage import write_whole
from metaplastic.results.page import table_page


def write_table(text: str, table: Path, page: Path, *, title: str) -> None:
    """Write a Markdown text to `table`, and as HTML to `page`."""
    for path, content in ((table, text), (page, table_page(title, text))):
        write_whole(path, partial(Path.write_text, data=content, encoding="utf-8"))
