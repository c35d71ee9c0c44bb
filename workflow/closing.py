"""What a finished run says last: where its results are, and how its first table begins."""

from itertools import takewhile
from pathlib import Path

from metaplastic.config.study import Config


def closing(config: Config) -> str:
    """Return the tables, figures and pages that the studies that are run have left, and the first rows of a table."""
    results = Path(config.results)
    tables = [table for study in config.run if (table := results / f"studies/{study}/table.md").exists()]
    pages = [str(page) for study in config.run if (page := results / f"studies/{study}/explore.html").exists()]
    if not tables:
        return f"Results are in {results}.{f' Open {pages[0]} in a browser.' if pages else ''}"
    shown = takewhile(bool, tables[0].read_text(encoding="utf-8").splitlines())
    page = results / "comparison.md"
    places = [
        f"Tables      {results}/studies/*/table.md, also as table.html",
        f"Figures     {results}/studies/*/figures",
        *([f"Comparison  {page}, the findings of Metz et al. 2019"] if page.exists() else []),
        *([f"To explore  {', '.join(pages)}"] if pages else []),
        "Report      made by: make report, with the same CONFIG if there was one",
    ]
    return "\n".join(["", f"{tables[0]} begins:", "", *shown, "", *places])
