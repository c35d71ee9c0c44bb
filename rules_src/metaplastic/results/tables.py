"""What all tables of results share: how numbers are written, and rows as Markdown."""

from math import isnan

MISSING = "\N{EN DASH}"
"""Where there is no evaluation."""

NONE = "none"
"""Embedding of a learner that needs none."""

Table = list[list[str]]
"""Rows of texts, the head first; `**` around what is bold."""


def percent(mean: float, half: float, *, sign: str = "", largest: float | None = None) -> str:
    """A share and half of its interval in percent, with one decimal.

    Args:
        mean: in [0, 1], or a difference of such; NaN is missing.
        half: the same.
        sign: of the format of `mean`; `+` where it is a difference.
        largest: of the column; what is as large, as printed, is bold.
    """
    if isnan(mean):
        return MISSING
    text = f"{100 * mean:{sign}.1f} ± {100 * half:.1f}"
    return f"**{text}**" if largest is not None and f"{100 * mean:.1f}" == f"{100 * largest:.1f}" else text


def markdown(table: Table) -> list[str]:
    """Lines of a Markdown table."""
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return [head, "|---" * len(table[0]) + "|", *rows]
