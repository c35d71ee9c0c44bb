"""Stage: choose a snapshot of a finished meta-training run and lay it down as a rule to ship, with its card."""

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
from rules_src.meta_train.state import state_path
from rules_src.stages.command import run
from rules_src.storage import check_manifest, read_zarr, write_whole
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
| meta-trained on | rendered letters and digits in many typefaces, {side} x {side} permuted pixels |
| snapshot | after {chosen} of {meta_steps} meta-steps of {tasks} tasks x {truncation} inner steps |
| chosen by | accuracy on {kind}, seen by no meta-gradient: {accuracy:.1%} ({sem:.1%} standard error) |
| device | {device}, {hours} |
| licence | Apache-2.0 |

It was chosen by {kind} alone; no dataset of the results below was looked at for that.

## Results

10 labels a class, logistic regression on 32 features, mean and 95% interval over seeds and draws of labels.

<!-- results -->
<!-- end of results -->

## Limits

- It has seen images of letters only. On data of another kind compare it with the raw inputs first.
- It was meta-trained for up to {longest} inner steps; features may get worse after that.
- Batch norm takes its statistics from the data it is fitted on, so a few dozen rows are the least to give it.

## Config

The section `meta_train.{name}` of the config; `make run CONFIG=config/pretrain.yaml` runs it. Made by {versions}.

```yaml
{config}```
"""


def ship(
    folder: Annotated[Path, Option(help="Folder of the finished run.")],
    name: Annotated[str, Option(help="Name of the shipped rule.")],
    output: Annotated[Path, Option(help="Folder to write NAME.safetensors and NAME.md to.")],
    kind: Annotated[str, Option(help="What the snapshot is chosen by, as the history names it.")] = "held-out letters",
    seconds: Annotated[float | None, Option(help="Wall-clock seconds of the run, for the card.")] = None,
) -> None:
    """Choose the snapshot with the best accuracy on `kind`, averaged with the measurements before and after it."""
    manifest = check_manifest(folder / "theta.safetensors")
    spec = parse_spec(MetaTrain, json.dumps(manifest["spec"]), str(folder))
    history = read_zarr(folder / "history.zarr")
    if kind not in history["dataset"].values:
        raise InputError(f"--kind: {kind!r} is not in the history; take one of: {', '.join(history['dataset'].values)}")
    best = best_evaluation(history, kind)
    chosen = int(history["evaluation_step"][best])
    states = [state for state in (folder / "state").glob(f"{manifest['code']}-*") if state.is_dir()]
    snapshots = [path for state in states if (path := state_path(state / "snapshots", chosen)).is_file()]
    if not snapshots:
        raise InputError(f"{folder / 'state'}: no snapshot of meta-step {chosen}; run it with keep.snapshots: 1")
    rule_spec, rule = trained_rule(snapshots[0])
    measured = history.sel({"dataset": kind}).isel(evaluation=best)
    card = CARD.format(
        name=name,
        numbers=sum(leaf.size for leaf in jax.tree.leaves(rule)),
        side=spec.tasks.side,
        chosen=chosen,
        meta_steps=spec.meta_steps,
        tasks=spec.parallel_tasks,
        truncation=spec.unroll.truncation,
        longest=spec.unroll.longest,
        kind=kind,
        accuracy=float(measured["held_out_accuracy"]),
        sem=float(measured["held_out_sem"]),
        device=manifest["device"],
        hours=f"{seconds / 3600:.1f} hours" if seconds else "time not recorded",
        versions=", ".join(f"{package} {version}" for package, version in sorted(manifest["versions"].items())),
        config=yaml.safe_dump(manifest["spec"], sort_keys=False),
    )
    output.mkdir(parents=True, exist_ok=True)
    save_theta(rule, output / f"{name}.safetensors", spec=rule_spec.model_dump(mode="json"))
    write_whole(output / f"{name}.md", lambda temporary: temporary.write_text(card))


def best_evaluation(history: xr.Dataset, kind: str) -> int:
    """Index of the measurement whose accuracy on `kind`, averaged with those beside it, is the highest."""
    accuracy = history["held_out_accuracy"].sel({"dataset": kind}).values
    padded = np.pad(accuracy, 1, mode="edge")
    return int(np.argmax((padded[:-2] + padded[1:-1] + padded[2:]) / 3))


if __name__ == "__main__":
    run(ship)
