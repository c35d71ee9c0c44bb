"""Stage: choose a snapshot of a meta-training run by what it was watched on but not trained on; ship it with a card."""

import json
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import xarray as xr
import yaml
from typer import Option

from rules_src.config.base import parse_spec
from rules_src.config.meta_train import MetaTrain
from rules_src.errors import InputError
from rules_src.meta_train.history import read
from rules_src.meta_train.resumable import HISTORY, SNAPSHOTS
from rules_src.meta_train.state import state_path
from rules_src.stages.command import run
from rules_src.storage import write_whole
from rules_src.update_rules.theta import save_theta, trained_rule

CARD = """# {name}

A learned update rule: it trains a network on unlabelled rows, so that a few labels then suffice.

```python
from rules_src.estimator import LearnedRule

features = LearnedRule.from_pretrained("{name}").fit_transform(X)
```

| | |
|---|---|
| theta | {numbers:,} numbers, {name}.safetensors |
| meta-trained on | {sources}; {side} x {side} permuted inputs |
| snapshot | after {chosen} of {meta_steps} meta-steps of {tasks} tasks x {truncation} inner steps |
| chosen by | mean accuracy on {validation}, {labelled} labels a class |
| cost | {cost} |
| licence | Apache-2.0 |

No task of these was trained on.

## Results

10 labels a class, logistic regression on 32 features, mean and 95% interval over seeds and draws of labels.

<!-- results -->
<!-- end of results -->

## Limits

- It has seen these tasks only. On data of another kind compare it with the raw inputs first.
- It was meta-trained for up to {longest} inner steps; features may get worse after that.
- Batch norm takes its statistics from the data it is fitted on, so a few dozen rows are the least to give it.

## Config

A section of `meta_train`, run at revision {revision} of the project:

```yaml
{config}```
"""


def ship(
    spec: Annotated[str, Option(help="The run's section of the config, as JSON.")],
    state: Annotated[Path, Option(help="Folder of the run's states, with its history and its snapshots.")],
    by: Annotated[list[str], Option(help="Held-out dataset or kind of tasks to choose by; repeatable.")],
    name: Annotated[str, Option(help="Name of the shipped rule.")],
    output: Annotated[Path, Option(help="Folder to write NAME.safetensors and NAME.md to.")],
    revision: Annotated[str, Option(help="Of the project, that the run was made with; for the card.")],
    cost: Annotated[str, Option(help="Device and hours of the run; for the card.")],
) -> None:
    """Write the snapshot whose accuracy, averaged over `by` and with those beside it, is the best, and its card."""
    section = parse_spec(MetaTrain, spec)
    allowed = [*section.held_out.datasets, *section.held_out.kinds]
    for held_out in by:
        if held_out not in allowed:
            raise InputError(f"--by: {held_out!r} is nothing that the run held out; valid: {', '.join(allowed)}")
    accuracy = _accuracy_of_snapshots(state, by)
    best = accuracy.isel(evaluation=best_of_neighbours(accuracy.mean("dataset").values))
    meta_step = int(best["evaluation_step"])
    rule_spec, rule = trained_rule(_snapshot(state, meta_step))
    card = CARD.format(
        name=name,
        numbers=sum(leaf.size for leaf in jax.tree.leaves(rule)),
        sources=", ".join(section.trained),
        side=section.tasks.side,
        chosen=meta_step,
        meta_steps=section.meta_steps,
        tasks=section.parallel_tasks,
        truncation=section.unroll.truncation,
        longest=section.unroll.longest,
        labelled=section.labelled,
        validation=", ".join(f"{held_out} ({float(best.sel(dataset=held_out)):.1%})" for held_out in by),
        cost=cost,
        revision=revision,
        config=yaml.safe_dump(json.loads(spec), sort_keys=False),
    )
    output.mkdir(parents=True, exist_ok=True)
    save_theta(rule, output / f"{name}.safetensors", spec=rule_spec.model_dump(mode="json"))
    write_whole(output / f"{name}.md", lambda temporary: temporary.write_text(card))


def _accuracy_of_snapshots(state: Path, by: list[str]) -> xr.DataArray:
    history = state / HISTORY
    if not history.is_dir():
        raise InputError(f"{state}: holds no {HISTORY}; give the folder that a run keeps its states in")
    accuracy = read(history)["held_out_accuracy"].sel(dataset=by)
    kept = [_snapshot(state, int(step)).is_file() for step in accuracy["evaluation_step"]]
    if not any(kept):
        raise InputError(f"{state}: holds no snapshots")
    return accuracy.isel(evaluation=np.flatnonzero(kept))


def _snapshot(state: Path, meta_step: int) -> Path:
    return state_path(state / SNAPSHOTS, meta_step)


def best_of_neighbours(accuracy: np.ndarray) -> int:
    """Index of the measurement that is the highest when each is averaged with those beside it."""
    padded = np.pad(accuracy, 1, mode="edge")
    return int(np.argmax(padded[:-2] + padded[1:-1] + padded[2:]))


if __name__ == "__main__":
    run(ship)
