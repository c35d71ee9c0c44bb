"""A table of results as a page that a browser shows, for the report."""

from markdown_it import MarkdownIt

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #202020; }}
table {{ border-collapse: collapse; margin: 1.5em 0 0.5em; }}
th, td {{ padding: 0.25em 1em 0.25em 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e4e4e4; }}
th {{ border-bottom-color: #8a8a8a; }}
code, th {{ white-space: nowrap; }}
</style>
<h1>{title}</h1>
{body}</html>
"""


def table_page(title: str, markdown: str) -> str:
    """A page of its own, without anything from elsewhere; `markdown` may hold tables, and no HTML of it is taken."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    return PAGE.format(title=title, body=renderer.render(markdown))
