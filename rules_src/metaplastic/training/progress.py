"""How far a run is: a bar where somebody watches, else a plain line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from metaplastic.training.launch import is_first
from metaplastic.training.loop import Item, Run

PAUSE = 10.0
"""Fewest seconds between two plain lines."""
PLAIN = "{n_fmt} of {total_fmt} UNIT, {rate_noinv_fmt}, {remaining} left{postfix}"

I = TypeVar("I", bound=Item)  # noqa: E741


def shown(items: Iterable[I], run: Run[I]) -> Iterator[I]:
    """Pass the items of a run on, saying on stderr how far it is, how fast it goes and how well it does."""
    if not is_first():
        yield from items
        return
    watched, start, said = sys.stderr.isatty(), time.monotonic(), -PAUSE
    first = None
    bar = tqdm(total=run.steps, unit="step", file=sys.stderr, disable=not watched)
    for item in items:
        done, now = run.step(item.state), time.monotonic()
        first = done if first is None else first
        if watched:
            bar.initial, bar.n = first, done
            bar.set_postfix_str(run.summary(item))
        elif done == run.steps or now - said >= PAUSE:
            said = now
            line = tqdm.format_meter(
                done,
                run.steps,
                now - start,
                initial=first,
                unit="step",
                postfix=run.summary(item),
                bar_format=PLAIN.replace("UNIT", run.unit),
            )
            print(line, file=sys.stderr, flush=True)
        yield item
    bar.close()
