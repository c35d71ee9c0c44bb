"""Stage: choose a snapshot of a meta-training run by data that no result is reported on, and ship it with a card."""

import json
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import yaml
from tqdm import tqdm
from typer import Option

from rules_src.config.base import parse_spec
from rules_src.config.meta_train import MetaTrain
from rules_src.errors import InputError
from rules_src.meta_train.data import small_images
from rules_src.meta_train.held_out import dataset_probe, held_out_accuracy
from rules_src.stages.command import run
from rules_src.storage import read_zarr, write_whole
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
| chosen by | accuracy on {validation}, {side} x {side}, {labelled} labels a class: {accuracy:.1%} |
| cost | {cost} |
| licence | Apache-2.0 |

The snapshot was chosen by {validation} alone.

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
    snapshots: Annotated[Path, Option(help="Folder of the run's snapshots.")],
    validation: Annotated[Path, Option(help="Store of an image dataset to choose by.")],
    name: Annotated[str, Option(help="Name of the shipped rule.")],
    output: Annotated[Path, Option(help="Folder to write NAME.safetensors and NAME.md to.")],
    revision: Annotated[str, Option(help="Of the project, that the run was made with; for the card.")],
    cost: Annotated[str, Option(help="Device and hours of the run; for the card.")],
) -> None:
    """Write the snapshot whose accuracy, averaged with those beside it, is the best, and its card."""
    section = parse_spec(MetaTrain, spec)
    files = sorted(snapshots.glob("step-*.safetensors"))
    if not files:
        raise InputError(f"{snapshots}: no snapshots; give the folder `snapshots` in the state folder of a run")
    dataset = read_zarr(validation)
    inputs, labels = small_images(dataset, section.tasks.side)
    probe = dataset_probe(jax.random.key(section.seed), inputs, labels, section)
    rules = [trained_rule(file) for file in tqdm(files, unit="snapshot")]
    classes = len(dataset.attrs["class_names"])
    accuracy = np.array(
        [held_out_accuracy(rule, probe, classes=classes, ridge=section.ridge).mean() for _, rule in rules]
    )
    best = best_of_neighbours(accuracy)
    rule_spec, rule = rules[best]
    card = CARD.format(
        name=name,
        numbers=sum(leaf.size for leaf in jax.tree.leaves(rule)),
        sources=", ".join(section.trained),
        side=section.tasks.side,
        chosen=int(files[best].stem.removeprefix("step-")),
        meta_steps=section.meta_steps,
        tasks=section.parallel_tasks,
        truncation=section.unroll.truncation,
        longest=section.unroll.longest,
        labelled=section.labelled,
        validation=dataset.attrs["name"],
        accuracy=accuracy[best],
        cost=cost,
        revision=revision,
        config=yaml.safe_dump(json.loads(spec), sort_keys=False),
    )
    output.mkdir(parents=True, exist_ok=True)
    save_theta(rule, output / f"{name}.safetensors", spec=rule_spec.model_dump(mode="json"))
    write_whole(output / f"{name}.md", lambda temporary: temporary.write_text(card))


def best_of_neighbours(accuracy: np.ndarray) -> int:
    """Index of the measurement that is the highest when each is averaged with those beside it."""
    padded = np.pad(accuracy, 1, mode="edge")
    return int(np.argmax(padded[:-2] + padded[1:-1] + padded[2:]))


if __name__ == "__main__":
    run(ship)
