"""Puts what the workflow made into README.md and the card of the rule that it applies, for `make readme`.

`python workflow/readme.py DAG TABLE COMPARISON` does it.

Results in `results/published`, which are not of this run, are put there too. Each part stands between the lines
`<!-- name -->` and `<!-- end of name -->`.
"""

import re
import sys
from pathlib import Path

from metaplastic.io.storage import read_netcdf
from metaplastic.results.tables import architectures_table, few_shot_table, markdown_table
from metaplastic.update_rules.pretrained import DEFAULT, pretrained_file


def fill(text: str, name: str, content: str) -> str:
    """Replace what stands between the marks of `name`.

    Raises:
        ValueError: the marks are missing.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)})", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no lines {begin} ... {end}")
    return pattern.sub(lambda _: content.strip() + "\n", text)


def dag_block(mermaid: str) -> str:
    """A rule graph as a fenced block, without colours, which would fight the reader's theme."""
    lines = [line for line in mermaid.splitlines() if not line.strip().startswith("style")]
    return "```mermaid\n" + "\n".join(lines).strip() + "\n```"


if __name__ == "__main__":
    dag, table, comparison = (Path(argument).read_text() for argument in sys.argv[1:4])
    for page in (Path("README.md"), pretrained_file(DEFAULT).with_suffix(".md")):
        page.write_text(fill(page.read_text(), "results", table))
    readme = Path("README.md")
    readme.write_text(fill(fill(readme.read_text(), "dag", dag_block(dag)), "comparison", comparison))
    tables = {
        "architectures": architectures_table,
        "few_shot": few_shot_table,
        "tables": few_shot_table,
        "cactus": markdown_table,
    }
    for name, published_table in tables.items():
        text = published_table(read_netcdf(Path(f"results/published/{name}.nc")))
        readme.write_text(fill(readme.read_text(), f"published {name}", text))
