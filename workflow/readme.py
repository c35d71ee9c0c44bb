"""Fills the generated parts of README.md, of the pages of results and of the default rule's card, for `make readme`.

`python -m workflow.readme [DAG]` does it, from `results/published` alone and, where it is given, a graph of rules. Each
part stands between the lines `<!-- name -->` and `<!-- end of name -->`.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
import xarray as xr
from metaplastic.results.tables import architectures_table, few_shot_table, markdown, markdown_table, percent

from workflow.names import DATASETS, METHODS, PUBLISHED, displayed, dissected, published


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
    """Return a rule graph as a fenced block, its arrows in order and without colours, which would fight a theme."""
    lines = [line for line in mermaid.splitlines() if not line.strip().startswith("style")]
    arrows = sorted(
        (line for line in lines if "-->" in line), key=lambda line: [int(n) for n in re.findall(r"\d+", line)]
    )
    return "\n".join(["```mermaid", *(line for line in lines if line not in arrows), *arrows, "```"])


WORTH = ["shipped", "umap", "denoising-autoencoder", "k-means", "raw", "random-init"]


def worth() -> str:
    """Return what the learned rule and its rivals are worth on MNIST: six rows, two columns, from `few_shot.nc`."""
    return few_shot_table(displayed(published("few_shot").sel(dataset=["mnist"], shots=[1, 10], representation=WORTH)))


def datasets(file: str, *names: str) -> str:
    """Return the table of some datasets of a file of few-shot accuracies."""
    few_shot = published(file).sel(dataset=list(names))
    return few_shot_table(displayed(few_shot.dropna("representation", subset=["accuracy"], how="all")))


BASELINES = ["nearest-neighbours", "linear", "mlp", "cluster-matching", "maml", "protonets"]
PAPER = ["from-scratch", *BASELINES, "oracle-maml", "oracle-protonets"]
JITTERED = ["protonets-jittered", "maml-jittered", "protonets-rounds-neighbourhoods"]
CLUSTERS = [f"protonets-{name}" for name in ("clusters-100", "clusters-250", "partitions-10", "clusters-1000")]
CLUSTERS += ["protonets-hyperplanes", "protonets-small-clusters"]
TASKS = [f"maml-{name}" for name in ("short", "one-partition", "hyperplanes", "random")] + ["protonets-random"]
PARTITIONS = ["protonets-one-partition", *(f"protonets-partitions-{number}" for number in (3, 10, 30)), "protonets"]
DIGITS = ["nearest-neighbours", "linear", "protonets-ten", "maml-ten"]
"""Few-shot learners by what is told of them."""
EMBEDDINGS = ["bigan", "acai", "blurred", "untrained-encoder"]


def learners(file: str, names: list[str], embeddings: list[str]) -> str:
    """Return the table of some learners on clusters of some embeddings."""
    return markdown_table(displayed(published(file).sel(learner=names, embedding=embeddings)))


KEEPING = ["umap", "isomap"]
"""Embeddings that keep the training examples."""


def choices() -> str:
    """Return which method is best on each dataset with so many labels, with its accuracy: of all, and of some."""
    table = [["Data", "Labels a class", "Best of all", "Best that keeps no training data", METHODS["shipped"]]]
    for name in ("few_shot", "tables"):
        results = published(name)
        for dataset, shots in product(results["dataset"].values.tolist(), results["shots"].values.tolist()):
            cells = results.sel(dataset=dataset, shots=shots).dropna("representation", subset=["accuracy"])
            if cells.sizes["representation"]:
                compact = cells.drop_sel(representation=KEEPING, errors="ignore")
                learned = percent(*(float(cells[of].sel(representation="shipped")) for of in ("accuracy", "interval")))
                table.append([DATASETS[dataset], str(shots), _best(cells), _best(compact), learned])
    return markdown(table)


def _best(cells: xr.Dataset) -> str:
    best = cells.isel(representation=int(cells["accuracy"].values.argmax()))
    return f"{METHODS[best['representation'].item()]} {percent(float(best['accuracy']), float(best['interval']))}"


COMPARISONS = {"default run, 5,000 images": "comparison-default", "whole datasets": "comparison"}
"""Comparisons with Metz et al. 2019 by what they were measured on."""
FIGURES = {
    "2": "other objectives mismatch; permuted inputs",
    "3": "accuracy over meta-training",
    "4": "unseen images and text",
    "5": "unseen depths, widths, activations",
    "6": "how a network learns",
}
"""What each figure of Metz et al. 2019 shows."""


def _comparison(name: str) -> str:
    return (PUBLISHED / f"{name}.md").read_text(encoding="utf-8")


def verdicts() -> str:
    """Return how many findings of each figure were reproduced, of those that were tested."""
    head = ["Figure of Metz et al. 2019", *COMPARISONS]
    found = [_counted(_comparison(name)) for name in COMPARISONS.values()]
    rows = [[f"{number}: {what}", *(counts[number] for counts in found)] for number, what in FIGURES.items()]
    return markdown([head, *rows])


def _counted(comparison: str) -> dict[str, str]:
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in comparison.splitlines() if row.startswith("| ")]
    counts = Counter((figure[0], verdict) for figure, _, _, verdict, _ in cells[1:] if figure)

    def text(number: str) -> str:
        judged = {verdict: count for (figure, verdict), count in counts.items() if figure == number}
        # Some findings are reproduced early or late in learning alone.
        reproduced = sum(count for verdict, count in judged.items() if verdict.startswith("reproduced"))
        failed = judged.get("not reproduced", 0)
        return f"{reproduced} of {reproduced + failed}" if reproduced + failed else "not tested"

    return {number: text(number) for number in FIGURES}


def terms() -> str:
    """Return the accuracy of a rule, and what dropping each of its terms changes, with each activation."""
    results = dissected()
    table = [["Without", *results["activation"].values]]
    table.append(["nothing", *(f"{100 * accuracy:.1f}" for accuracy in results["accuracy"].values)])
    for term in results["term"].values:
        cells = zip(*(100 * results[name].sel(term=term).values for name in ("difference", "interval")), strict=True)
        table.append([term, *(f"{difference:+.1f} ± {half:.1f}" for difference, half in cells)])
    return markdown(table)


def _measured(name: str) -> pd.DataFrame:
    return pd.read_csv(PUBLISHED / f"{name}.csv", dtype=str)


def measured(name: str) -> str:
    """Return the table of a published CSV file."""
    found = _measured(name)
    return markdown([list(found.columns), *found.values.tolist()])


def minutes() -> str:
    """Return the sentence that says how long the first commands take."""
    took = _measured("seconds").set_index("what")["seconds"]
    setup, run = (float(took.filter(like=command).iloc[0]) for command in ("`make setup`", "`make run`"))
    return f"On two CPU cores `make setup` takes {setup:.0f} seconds and `make run` {run / 60:.0f} minutes."


PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {"worth": worth, "minutes": minutes, "verdicts": verdicts},
    "docs/results/update-rules.md": {
        "mnist": partial(datasets, "few_shot", "mnist", "fashion-mnist"),
        "large": partial(datasets, "few_shot", "mnist-28", "fashion-mnist-28"),
        "imdb": partial(datasets, "few_shot", "imdb"),
        "tables": partial(datasets, "tables", "iris", "wine", "breast-cancer"),
        "architectures": lambda: architectures_table(displayed(published("architectures"))),
        "default": lambda: markdown_table(displayed(published("default"))),
    },
    "docs/guides/choosing.md": {"choices": choices},
    "docs/results/few-shot.md": {
        "paper": partial(learners, "cactus", PAPER, EMBEDDINGS),
        "features": partial(learners, "cactus", ["nearest-neighbours", "mlp", "protonets"], ["quill", "contrastive"]),
        "jittered": partial(learners, "cactus", JITTERED, ["acai", "blurred", "contrastive"]),
        "clusters": partial(learners, "cactus", CLUSTERS, ["acai", "zca"]),
        "maml": partial(learners, "cactus", TASKS, ["acai"]),
        "partitions": partial(learners, "cactus", PARTITIONS, ["acai"]),
        "digits": partial(learners, "cactus-mnist", DIGITS, ["infogan", *EMBEDDINGS]),
    },
    "docs/results/papers.md": {
        "verdicts": verdicts,
        "default": partial(_comparison, "comparison-default"),
        "whole": partial(_comparison, "comparison"),
    },
    "docs/notes/what-the-rule-does.md": {"terms": terms},
    "docs/results/speed.md": {"seconds": partial(measured, "seconds")},
    "docs/guides/few-shot.md": {"three lines": partial(measured, "three_lines")},
    "data/pretrained/generalist.md": {"results": worth},
}
"""The generated parts of pages, each with the function that makes it."""


def filled(page: str) -> str:
    """Return the text of a page with its generated parts as `results/published` has them."""
    text = Path(page).read_text(encoding="utf-8")
    for name, make in PARTS[page].items():
        text = fill(text, name, make())
    return text


if __name__ == "__main__":
    for page in PARTS:
        Path(page).write_text(filled(page), encoding="utf-8")
    for graph in sys.argv[1:]:
        guide = Path("docs/guides/workflow.md")
        guide.write_text(fill(guide.read_text(encoding="utf-8"), "dag", dag_block(Path(graph).read_text())))
