"""Choose a snapshot of a meta-training run by its held-out accuracy, and ship it with a card; run by hand."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import pandas as pd
import xarray as xr
import yaml
from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.figures.accuracy_over_compute import teraflop
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_zarr, write_whole
from metaplastic.meta_train.held_out import held_out_accuracy
from metaplastic.meta_train.run import inner_step_flops, mean_and_standard_error, watched
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.stages.command import named_stores, run
from metaplastic.training.checkpoint import read_history, state_path
from metaplastic.training.loop import HISTORY, SNAPSHOTS
from metaplastic.update_rules.theta import save_theta, trained_rule

ROWS = 11
"""Measurements that a card shows, evenly spread over the run, in addition to the chosen one."""

CARD = """# {name}

A learned update rule: it trains a network on unlabelled rows, so that a few labels then suffice.

```python
from metaplastic import LearnedRule

features = LearnedRule.from_pretrained("{name}").fit_transform(X)
```

| | |
|---|---|
| theta | {numbers:,} numbers, {name}.safetensors |
| meta-trained on | {sources}; {sides} permuted inputs |
| snapshot | after {chosen:,} of {run.meta_steps:,} meta-steps of {tasks} tasks x {run.unroll.truncation} inner steps |
| chosen by | mean accuracy on {validation}, {run.labelled} labels per class |
| cost | {cost} |
| licence | Apache-2.0 |

No task of the datasets and kinds that it was chosen by was trained on.

## Results

10 labels per class, logistic regression on 32 features, mean and 95% interval over seeds and draws of labels.

<!-- results -->
<!-- end of results -->

## While it was meta-trained

Accuracy in percent of a ridge regression on {run.labelled} labels per class of {watched} x {watched}
inputs, {run.held_out.inner_steps} inner steps from a fresh base model; mean and standard error over
{run.held_out.tasks} base models. TFLOP counts the forward passes of the inner steps.{measured}

![Accuracy on what was held out over meta-training](../../docs/images/{name}.svg)

The numbers are in `{name}.csv`.

## Limits

- It has seen only these tasks. On data of another kind compare it with the raw inputs first.
- It was meta-trained for up to {run.unroll.longest} inner steps; features may get worse after that.
- Batch norm takes its statistics from the data it is fitted on, so give it at least a few dozen rows.

## Config

A section of `meta_train`, run at revision {revision} of the project: `{name}.yaml` beside this card.
"""


def ship(
    spec: Annotated[str, Option(help="The run's section of the config, as JSON.")],
    state: Annotated[Path, Option(help="Folder of the run's states, with its history and its snapshots.")],
    by: Annotated[list[str], Option(help="Held-out dataset or kind of tasks to choose by; repeatable.")],
    name: Annotated[str, Option(help="Name of the shipped rule.")],
    output: Annotated[Path, Option(help="Folder to write NAME.safetensors and NAME.md to.")],
    revision: Annotated[str, Option(help="Revision of the project that made the run, for the card.")],
    cost: Annotated[str, Option(help="Device and hours of the run, for the card.")],
    measure: Annotated[list[str] | None, Option(help="NAME=STORE of an image dataset to measure snapshots on.")] = None,
) -> None:
    """Write the snapshot with the best accuracy, averaged over `by` and with its two neighbours, and its card."""
    section, stores = parse_spec(MetaTrain, spec), named_stores("--measure", measure or [])
    history = _history_of_snapshots(state)
    allowed = [name for name in history["dataset"].values.tolist() if name not in section.trained_sources]
    for held_out in by:
        if held_out not in allowed:
            raise InputError(f"--by: {held_out!r} is nothing that the run held out; valid: {', '.join(allowed)}")
    accuracy = history["held_out_accuracy"].sel(dataset=by)
    chosen = best_of_neighbours(accuracy.mean("dataset").values)
    best = accuracy.isel(evaluation=chosen)
    meta_step = int(best["evaluation_step"])
    rule_spec, rule = trained_rule(state_path(state / SNAPSHOTS, meta_step))
    card = CARD.format(
        name=name,
        numbers=sum(leaf.size for leaf in jax.tree.leaves(rule)),
        run=section,
        sources=", ".join(section.trained_sources),
        sides=", ".join(f"{side} x {side}" for side in sorted({*map(section.side_of, section.base_models)})),
        watched=section.side_of(section.base_models[0]),
        tasks=section.parallel_tasks,
        chosen=meta_step,
        validation=", ".join(f"{held_out} ({float(best.sel(dataset=held_out)):.1%})" for held_out in by),
        measured=f" On {', '.join(stores)} it was measured after the choice." if stores else "",
        cost=cost,
        revision=revision,
    )
    curve = _curve(history.isel(evaluation=spread(history.sizes["evaluation"], chosen)), section, state, stores)
    output.mkdir(parents=True, exist_ok=True)
    save_theta(rule, output / f"{name}.safetensors", spec=rule_spec.model_dump(mode="json"))
    for ending, text in {"csv": curve, "yaml": yaml.safe_dump(json.loads(spec), sort_keys=False), "md": card}.items():
        write_whole(output / f"{name}.{ending}", partial(Path.write_text, data=text, encoding="utf-8"))


def _history_of_snapshots(state: Path) -> xr.Dataset:
    """Return the measurements after which theta was kept."""
    if not (state / HISTORY).is_dir():
        raise InputError(f"{state}: holds no {HISTORY}; give the folder that a run keeps its states in")
    history = read_history(state / HISTORY)
    kept = [state_path(state / SNAPSHOTS, int(step)).is_file() for step in history["evaluation_step"]]
    if not any(kept):
        raise InputError(f"{state}: holds no snapshots")
    return history.isel(evaluation=np.flatnonzero(kept))


def _curve(history: xr.Dataset, section: MetaTrain, state: Path, stores: Mapping[str, Path]) -> str:
    """Return a CSV table with one row per measurement: meta-steps, work until then, accuracies and their errors."""
    steps = history["evaluation_step"].values.tolist()
    rules = [trained_rule(state_path(state / SNAPSHOTS, step))[1] for step in steps]
    spent = teraflop(history, inner_step_flops(rules[0], section) / 1e9)
    quoted = history["held_out_accuracy"], history["held_out_sem"]
    columns = {name: [of.sel(dataset=name).values for of in quoted] for name in history["dataset"].values.tolist()}
    for name, store in stores.items():
        probe, classes = watched(jax.random.key(section.seed), read_zarr(store), section)
        accuracy = [held_out_accuracy(rule, probe, classes=classes, ridge=section.ridge) for rule in rules]
        columns[name] = [*mean_and_standard_error(np.stack(accuracy))]
    table = pd.DataFrame({"meta-steps": steps, "TFLOP": [f"{work:.3g}" for work in spent]})
    for name, (mean, error) in columns.items():
        table[name], table[f"{name} error"] = (100 * mean).round(1), (100 * error).round(1)
    return str(table.to_csv(index=False, lineterminator="\n"))


def best_of_neighbours(accuracy: np.ndarray) -> int:
    """Return the index of the measurement that is highest when each is averaged with its two neighbours."""
    padded = np.pad(accuracy, 1, mode="edge")
    return int(np.argmax(padded[:-2] + padded[1:-1] + padded[2:]))


def spread(count: int, chosen: int) -> list[int]:
    """Return indices of `ROWS` of `count` measurements, evenly spread with both ends, and of the chosen one."""
    return sorted({*np.linspace(0, count - 1, min(count, ROWS)).round().astype(int).tolist(), chosen})


if __name__ == "__main__":
    run(ship)
