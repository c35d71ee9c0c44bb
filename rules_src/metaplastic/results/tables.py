"""Tables of results: Markdown, the same as an HTML page, and CSV."""

import csv
from functools import partial
from itertools import product
from math import isnan
from pathlib import Path

import numpy as np
import xarray as xr
from markdown_it import MarkdownIt

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


def percent(mean: float, half: float, *, sign: str = "", largest: float | None = None) -> str:
    """Write a share and half of its interval in percent, with one decimal.

    Args:
        mean: in [0, 1], or a difference of such; NaN is missing.
        half: the same.
        sign: of the format of `mean`; `+` where it is a difference.
        largest: of the column; a value that prints the same is bold.
    """
    if isnan(mean):
        return MISSING
    text = f"{100 * mean:{sign}.1f} ± {100 * half:.1f}"
    return f"**{text}**" if largest is not None and f"{100 * mean:.1f}" == f"{100 * largest:.1f}" else text


def markdown(table: Table) -> list[str]:
    """Return the lines of a Markdown table."""
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return [head, "|---" * len(table[0]) + "|", *rows]


def table_page(title: str, text: str) -> str:
    """Return a self-contained HTML page of a Markdown text, which may hold tables; HTML in it is shown as text."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    return PAGE.format(title=title, body=renderer.render(text))


def write_table(text: str, table: Path, page: Path, *, title: str) -> None:
    """Write a Markdown text to `table`, and as HTML to `page`."""
    for path, content in ((table, text), (page, table_page(title, text))):
        write_whole(path, partial(Path.write_text, data=content, encoding="utf-8"))


def write_csv(table: Table, path: Path) -> None:
    """Write a table as a CSV file."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)

    write_whole(path, write)


def markdown_table(summary: xr.Dataset) -> str:
    """Return the tables of a study's summary, in percent, with the best of each column in bold.

    Few-shot readouts: logistic regression at the most shots, then at the fewest. With a randomly initialised base model
    among the methods, a table in between says by how many points each differs from it. The last one says how long each
    took. Learners on episodes: a table per dataset, by ways and shots; what the paper reports follows in brackets.
    """
    return "\n".join(_of_learners(summary) if "learner" in summary.dims else _of_readouts(summary))


def headline(summary: xr.Dataset) -> Table:
    """Return the first table of few-shot readouts: every method at the most shots, and guessing."""
    return _accuracies(_at(int(summary["shots"].values.max()), summary))


def _of_readouts(summary: xr.Dataset) -> list[str]:
    most, fewest = (int(shots) for shots in (summary["shots"].values.max(), summary["shots"].values.min()))
    cells = _at(most, summary)
    caption = (
        f"Test accuracy in percent of a logistic regression fitted on {_labelled(most)} a class; ± is half of the 95% "
        f"interval over seeds and draws of labels ({summary.attrs['draws']} draws){_of_meta_training(summary)}; best "
        "in bold."
    )
    parts = [*markdown(headline(summary)), "", caption, ""]
    name = "difference_to_random_init"
    if name in summary:
        reference = str(cells["representation"].values[cells["kind"].values == INITIAL][0])
        others = cells.isel(representation=np.flatnonzero(cells["representation"].values != reference))
        parts += [*markdown(_texts(others, name, f"Points over {reference}", "+")), ""]
        parts += [f"The same accuracies minus those of {reference} on the same draws of labels.", ""]
    if fewest < most:
        parts += [*markdown(_accuracies(_at(fewest, summary))), ""]
        parts += [f"As above, with {_labelled(fewest)} a class.", ""]
    durations = [_head("Seconds", summary)]
    for representation in summary["representation"].values.tolist():
        seconds = _columns(summary["seconds"].sel(representation=representation), summary)
        durations.append([representation, *(MISSING if np.isnan(value) else f"{value:.1f}" for value in seconds)])
    parts += [
        *markdown(durations),
        "",
        "Wall-clock time to learn from the unlabelled training examples and to embed all, all seeds together, with "
        "compilation where it was not cached and without meta-training, as it was in this run.",
        "",
    ]
    return parts


def _at(shots: int, summary: xr.Dataset) -> xr.Dataset:
    return summary.sel(readout=TABLE_READOUT, shots=shots)


def _accuracies(cells: xr.Dataset) -> Table:
    chance = [f"{100 * value:.1f}" for value in _columns(cells["chance"], cells)]
    return [*_texts(cells, "accuracy", "Method", ""), ["chance", *chance]]


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


def _columns(values: xr.DataArray, summary: xr.Dataset) -> list[float]:
    """Return values in the order of a table's columns: the datasets of one base model after the other."""
    full = values.broadcast_like(summary["n_test"] * xr.ones_like(summary["base_model"], dtype=float))
    columns: list[float] = full.transpose("base_model", "dataset").values.ravel().tolist()
    return columns


def _head(title: str, summary: xr.Dataset) -> list[str]:
    datasets, base_models = summary["dataset"].values.tolist(), summary["base_model"].values.tolist()
    columns = [(dataset, base_model) for base_model in base_models for dataset in datasets]
    return [title, *(dataset if len(base_models) == 1 else f"{dataset}, {name}" for dataset, name in columns)]


def _texts(cells: xr.Dataset, name: str, title: str, sign: str) -> Table:
    rows = [_head(title, cells)]
    best = _columns(cells[name].max("representation"), cells)
    for representation in cells["representation"].values.tolist():
        row = cells.sel(representation=representation)
        ends = [_columns(row[variable], cells) for variable in (name, f"{name}_low", f"{name}_high")]
        texts = (
            percent(mean, (high - low) / 2, sign=sign, largest=largest)
            for mean, low, high, largest in zip(*ends, best, strict=True)
        )
        rows.append([representation, *texts])
    return rows


def _of_learners(summary: xr.Dataset) -> list[str]:
    settings = list(product(summary["way"].values.tolist(), summary["shots"].values.tolist()))
    parts: list[str] = []
    for dataset in summary["dataset"].values.tolist():
        of_dataset = summary.sel(dataset=dataset)
        best = [float(of_dataset["accuracy"].sel(way=way, shots=shots).max()) for way, shots in settings]
        table: Table = [[dataset, "embedding", *(f"{way}-way {shots}-shot" for way, shots in settings)]]
        for learner in of_dataset["learner"].values.tolist():
            for embedding, cell in of_embeddings(of_dataset.sel(learner=learner)).items():
                texts = [_text(cell.sel(way=w, shots=k), b) for (w, k), b in zip(settings, best, strict=True)]
                table.append([learner, embedding, *texts])
        parts += [*markdown(table), ""]
    episodes, queries, split = (summary.attrs[name] for name in ("episodes", "queries", "split"))
    seeds = summary.attrs.get("seeds", 1)
    over = "one embedding" if seeds == 1 else f"of readouts of features over {seeds} seeds of those too"
    known = " In brackets what Hsu et al. 2019 report." if summary["reported"].notnull().any() else ""
    return [
        *parts,
        f"Accuracy in percent on {queries} queries a class of {episodes} episodes of the {split} split, the same for "
        f"every learner; ± is half of the 95% interval over episodes, of one training and {over}; best in bold."
        f"{known}",
        "",
    ]


def _text(cell: xr.Dataset, best: float) -> str:
    mean, half, paper = (float(cell[name]) for name in ("accuracy", "interval", "reported"))
    text = percent(mean, half, largest=best)
    return text if np.isnan(paper) else f"{text} ({100 * paper:.1f})"


def architectures_table(published: xr.Dataset) -> str:
    """Return a Markdown table: a row per trained network, a column per representation, then the cost of the first."""
    names = published["representation"].values.tolist()
    table: Table = [["Hidden layers", "Units of each", "Activation", *names, "Seconds", "Peak MB"]]
    flat = published.stack(network=SHAPE).dropna("network", subset=["accuracy"], how="all")
    for network, of_network in flat.groupby("network"):
        depth, width, activation = network
        cells = map(percent, *(of_network[name].values.ravel().tolist() for name in ("accuracy", "interval")))
        cost = (of_network[name].values.ravel()[0] for name in ("seconds", "peak_mb"))
        table.append([str(depth), f"{width:,}", activation, *cells, *(f"{value:,.0f}" for value in cost)])
    attrs = published.attrs
    steps, seeds = int(published["inner_step"].max()), int(published["seeds"].max())
    caption = (
        f"Test accuracy in percent of a logistic regression fitted on {attrs['shots']} labelled examples a class of "
        f"{attrs['dataset']} after {steps:,} inner steps; ± is half of the 95% interval over {seeds} seeds and "
        f"{attrs['draws']} draws of labels. Seconds, and largest memory of the process, to apply {names[0]} with all "
        "seeds, compilation included where it was not cached."
    )
    return "\n".join([*markdown(table), "", caption, ""])


def few_shot_table(published: xr.Dataset) -> str:
    """Return a Markdown table: a row per representation, a column per dataset and number of labelled examples."""
    measured = published["accuracy"].notnull().any("representation")
    columns = [
        (d, k) for d in measured["dataset"].values for k in measured["shots"].values if measured.sel(dataset=d, shots=k)
    ]
    table: Table = [["Method", *(f"{dataset}, {shots} label{'' if shots == 1 else 's'}" for dataset, shots in columns)]]
    for name in published["representation"].values.tolist():
        of_name = published.sel(representation=name)
        pairs = [[float(of_name[v].sel(dataset=d, shots=k)) for v in ("accuracy", "interval")] for d, k in columns]
        table.append([name, *(percent(mean, half) for mean, half in pairs)])
    caption = (
        "Test accuracy in percent of a logistic regression on so many labelled examples a class; ± is half of the 95% "
        f"interval over {int(published['seeds'].max())} seeds, where a method is random, and "
        f"{published.attrs['draws']} draws of labels."
    )
    return "\n".join([*markdown(table), "", caption, ""])
