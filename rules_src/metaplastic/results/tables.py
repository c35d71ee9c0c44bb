"""Tables of results: Markdown, the same as an HTML page, and CSV."""

from functools import partial
from itertools import product
from math import isnan, nan
from pathlib import Path

import pandas as pd
import xarray as xr

from metaplastic.io.storage import write_whole
from metaplastic.results.selections import INITIAL, SHAPE, TABLE_READOUT, of_embeddings

MISSING = "\N{EN DASH}"
"""Text of a cell that was not evaluated."""

Table = list[list[str]]
"""Rows of texts, the head first; bold texts stand between `**`."""

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


texts_of = partial(xr.apply_ufunc, vectorize=True, output_dtypes=[object])
"""Return arrays as texts, given first the function that writes numbers of one place."""


def percent(mean: float, half: float, largest: float = nan, *, sign: str = "") -> str:
    """Write a share in [0, 1], or a difference of such, and half of its interval in percent, with one decimal.

    NaN is missing. A value that prints as the `largest` of its column is bold. `sign` is `+` for a difference.
    """
    if isnan(mean):
        return MISSING
    text = f"{100 * mean:{sign}.1f} ± {100 * half:.1f}"
    return f"**{text}**" if f"{100 * mean:.1f}" == f"{100 * largest:.1f}" else text


def markdown(table: Table, *below: str) -> str:
    """Return a Markdown table, and texts below it."""
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([head, "|---" * len(table[0]) + "|", *rows, *(f"\n{text}" for text in below), ""])


def table_page(title: str, text: str) -> str:
    """Return a self-contained HTML page of a Markdown text, which may hold tables; HTML in it is shown as text."""
    # Only pages need markdown-it, which is not a core dependency.
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    return PAGE.format(title=title, body=renderer.render(text))


def write_table(text: str, table: Path, page: Path, *, title: str) -> None:
    """Write a Markdown text to `table`, and as HTML to `page`."""
    for path, content in ((table, text), (page, table_page(title, text))):
        write_whole(path, partial(Path.write_text, data=content, encoding="utf-8"))


def write_csv(table: Table, path: Path) -> None:
    """Write a table as a CSV file."""
    write_whole(path, partial(pd.DataFrame(table).to_csv, header=False, index=False, lineterminator="\r\n"))


def markdown_table(summary: xr.Dataset) -> str:
    """Return the tables of a study's summary, in percent, with the best of each column in bold.

    Few-shot readouts: logistic regression at the most shots, then at the fewest. With a randomly initialised base model
    among the methods, a table in between says by how many points each differs from it. The last one says how long each
    took. Learners on episodes: a table per dataset, by ways and shots; what the paper reports follows in brackets.
    """
    return "\n".join(_of_learners(summary) if "learner" in summary.dims else _of_readouts(summary))


def headline(summary: xr.Dataset) -> Table:
    """Return the first table of few-shot readouts: every method at the most shots, and guessing."""
    return _accuracies(summary.sel(shots=summary["shots"].max()))


def _of_readouts(summary: xr.Dataset) -> list[str]:
    most, fewest = int(summary["shots"].max()), int(summary["shots"].min())
    caption = (
        f"Test accuracy in percent of a logistic regression fitted on {_labelled(most)} a class; ± is half of the 95% "
        f"interval over seeds and draws of labels ({summary.attrs['draws']} draws){_of_meta_training(summary)}; best "
        "in bold."
    )
    parts = [markdown(headline(summary), caption)]
    name = "difference_to_random_init"
    if name in summary and summary.sizes["representation"] > 1:
        reference = summary["representation"].values[summary["kind"].values == INITIAL][0]
        others = _shares(summary.sel(shots=most).drop_sel(representation=reference), name, sign="+")
        below = f"The same accuracies minus those of {reference} on the same draws of labels."
        parts.append(markdown(_table(f"Points over {reference}", others), below))
    if fewest < most:
        parts.append(markdown(_accuracies(summary.sel(shots=fewest)), f"As above, with {_labelled(fewest)} a class."))
    seconds = texts_of(lambda value: MISSING if isnan(value) else f"{value:.1f}", summary["seconds"])
    caption = (
        "Wall-clock time to learn from the unlabelled training examples and to embed all, all seeds together, with "
        "compilation where it was not cached and without meta-training, as it was in this run."
    )
    return [*parts, markdown(_table("Seconds", seconds), caption)]


def _accuracies(summary: xr.Dataset) -> Table:
    chance = [f"{100 * value:.1f}" for value in summary["chance"].values] * summary.sizes["base_model"]
    return [*_table("Method", _shares(summary, "accuracy")), ["chance", *chance]]


def _of_meta_training(summary: xr.Dataset) -> str:
    """Say what intervals do with the spread between meta-training runs, where there are any."""
    counts = sorted({int(count) for count in summary["meta_seeds"].values if count})
    if not counts:
        return ""
    if counts == [1]:
        return ", not over meta-training, which has one seed"
    return f", of rules meta-trained here over {' or '.join(map(str, counts))} meta-training seeds too"


def _labelled(shots: int) -> str:
    return f"{shots} labelled {'example' if shots == 1 else 'examples'}"


def _shares(summary: xr.Dataset, name: str, sign: str = "") -> xr.DataArray:
    mean, low, high = (summary[f"{name}{end}"].sel(readout=TABLE_READOUT) for end in ("", "_low", "_high"))
    return texts_of(partial(percent, sign=sign), mean, (high - low) / 2, mean.max("representation"))


def _table(title: str, texts: xr.DataArray) -> Table:
    """Return a row per representation, and in it the datasets of one base model after the other."""
    names, base_models, datasets = (texts[dim].values.tolist() for dim in ("representation", "base_model", "dataset"))
    columns = (dataset if len(base_models) == 1 else f"{dataset}, {m}" for m, dataset in product(base_models, datasets))
    rows = texts.transpose("representation", "base_model", "dataset").values.reshape(len(names), -1).tolist()
    return [[title, *columns], *([name, *row] for name, row in zip(names, rows, strict=True))]


def _of_learners(summary: xr.Dataset) -> list[str]:
    numbers = [summary[name] for name in ("accuracy", "interval", "reported")]
    cells = summary.assign(text=texts_of(_beside_reported, *numbers, numbers[0].max(("learner", "embedding"))))
    settings = [f"{way}-way {k}-shot" for way, k in product(summary["way"].values, summary["shots"].values)]
    parts: list[str] = []
    for dataset in summary["dataset"].values.tolist():
        table: Table = [[dataset, "embedding", *settings]]
        for learner in summary["learner"].values.tolist():
            for embedding, cell in of_embeddings(cells.sel(dataset=dataset, learner=learner)).items():
                table.append([learner, embedding, *cell["text"].values.ravel().tolist()])
        parts.append(markdown(table))
    episodes, queries, split = (summary.attrs[name] for name in ("episodes", "queries", "split"))
    seeds = summary.attrs["seeds"]
    over = "one embedding" if seeds == 1 else f"up to {seeds} seeds of the features"
    known = " In brackets what Hsu et al. 2019 report." if summary["reported"].notnull().any() else ""
    return [
        *parts,
        f"Accuracy in percent on {queries} queries a class of {episodes} episodes of the {split} split, the same for "
        f"every learner; ± is half of the 95% interval over episodes, of one training and {over}; best in bold."
        f"{known}\n",
    ]


def _beside_reported(mean: float, half: float, paper: float, best: float) -> str:
    text = percent(mean, half, best)
    return text if isnan(paper) else f"{text} ({100 * paper:.1f})"


def architectures_table(published: xr.Dataset) -> str:
    """Return a Markdown table: a row per trained network, a column per representation, then the cost of the first."""
    names = published["representation"].values.tolist()
    table: Table = [["Hidden layers", "Units of each", "Activation", *names, "Seconds", "Peak MB"]]
    written = published.assign(text=texts_of(percent, published["accuracy"], published["interval"]))
    flat = written.stack(network=SHAPE).dropna("network", subset=["accuracy"], how="all")
    for (depth, width, activation), of_network in flat.groupby("network"):
        cost = (of_network[name].values.ravel()[0] for name in ("seconds", "peak_mb"))
        shares, costs = of_network["text"].values.ravel().tolist(), (f"{value:,.0f}" for value in cost)
        table.append([str(depth), f"{width:,}", activation, *shares, *costs])
    attrs = published.attrs
    steps, seeds = int(published["inner_step"].max()), int(published["seeds"].max())
    caption = (
        f"Test accuracy in percent of a logistic regression fitted on {_labelled(int(attrs['shots']))} a class of "
        f"{attrs['dataset']} after {steps:,} inner steps; ± is half of the 95% interval over {seeds} seeds and "
        f"{attrs['draws']} draws of labels. Seconds, and largest memory of the process, to apply {names[0]} with all "
        "seeds, compilation included where it was not cached."
    )
    return markdown(table, caption)


def few_shot_table(published: xr.Dataset) -> str:
    """Return a Markdown table: a row per representation, a column per dataset and number of labelled examples."""
    measured = published.stack(column=("dataset", "shots")).dropna("column", subset=["accuracy"], how="all")
    columns = (f"{dataset}, {shots} label{'' if shots == 1 else 's'}" for dataset, shots in measured["column"].values)
    texts = texts_of(percent, measured["accuracy"], measured["interval"]).transpose("representation", "column")
    names = published["representation"].values.tolist()
    rows = ([name, *row] for name, row in zip(names, texts.values.tolist(), strict=True))
    table: Table = [["Method", *columns], *rows]
    caption = (
        "Test accuracy in percent of a logistic regression on so many labelled examples a class; ± is half of the 95% "
        f"interval over {int(published['seeds'].max())} seeds, where a method is random, and "
        f"{published.attrs['draws']} draws of labels."
    )
    return markdown(table, caption)
