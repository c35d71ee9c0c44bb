"""How far a run is: a bar where somebody watches, else a plain line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm import tqdm

from metaplastic.training.launch import is_first
from metaplastic.training.loop import I, Run

PAUSE = 10.0
"""Fewest seconds between two plain lines."""
PLAIN = "{n_fmt} of {total_fmt} UNIT, {rate_noinv_fmt}, {remaining} left{postfix}"

_shows = ContextVar("shows", default=True)


@contextmanager
def hidden() -> Iterator[None]:
    """Let `shown` print nothing meanwhile, in this thread."""
    before = _shows.set(False)
    try:
        yield
    finally:
        _shows.reset(before)


def shown(items: Iterable[I], run: Run[I]) -> Iterator[I]:
    """Pass on the items of a run, and print to stderr how far it is, how fast it goes and how well it does."""
    if not is_first() or not _shows.get():
        yield from items
        return
    watched, start, said, first = sys.stderr.isatty(), 0.0, -PAUSE, 0
    bar = tqdm(total=run.steps, unit="step", file=sys.stderr, disable=not watched)
    for number, item in enumerate(items):
        done, now = run.step(item.state), time.monotonic()
        ended = done == run.steps
        if number == 0 or (number == 1 and not ended):
            # The first steps compile, and tell nothing of how long others will take.
            first, start = done, now
            bar.initial, bar.start_t = done, time.time()
        if watched or ended or now - said >= PAUSE:
            said, compiles = now, number == 0 and not ended
            summary = ", ".join(filter(None, [run.summary(item), "compiling" * compiles]))
            if watched:
                bar.n = done
                bar.set_postfix_str(summary)
            else:
                plain = PLAIN.replace("UNIT", run.unit)
                line = tqdm.format_meter(
                    done, run.steps, now - start, initial=first, unit="step", bar_format=plain, postfix=summary
                )
                print(line, file=sys.stderr, flush=True)
        yield item
    bar.close()
