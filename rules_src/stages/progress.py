"""How far a run is: a bar where somebody watches, else a plain line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

from rules_src.meta_train.trainer import Progress

PAUSE = 10.0
"""Fewest seconds between two plain lines."""
PLAIN = "{n_fmt} of {total_fmt} meta-steps, {rate_noinv_fmt}, {remaining} left{postfix}"


def shown(items: Iterable[Progress], meta_steps: int) -> Iterator[Progress]:
    """Pass `items` on, saying on stderr how far the run is, how fast it goes and how well it does."""
    watched, start, said = sys.stderr.isatty(), time.monotonic(), -PAUSE
    first = None
    bar = tqdm(total=meta_steps, unit="step", file=sys.stderr, disable=not watched)
    for item in items:
        done, now = int(item.state.meta_step), time.monotonic()
        first = done if first is None else first
        if watched:
            bar.initial, bar.n = first, done
            bar.set_postfix_str(summary(item))
        elif done == meta_steps or now - said >= PAUSE:
            said = now
            line = tqdm.format_meter(
                done, meta_steps, now - start, initial=first, unit="step", postfix=summary(item), bar_format=PLAIN
            )
            print(line, file=sys.stderr, flush=True)
        yield item
    bar.close()


def summary(item: Progress) -> str:
    """The latest meta-loss and every held-out accuracy, as far as there are any."""
    loss = item.metrics.meta_loss
    parts = [f"meta-loss {float(loss.mean()):.3f}"] if loss.size else []
    return ", ".join([*parts, *(f"{name} {values.mean():.1%}" for name, values in item.held_out.items())])
