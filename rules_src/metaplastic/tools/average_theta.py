"""Average the thetas of runs that started from one theta, which is often better than each; run by hand."""

from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
from typer import Argument, Option

from metaplastic.io.errors import InputError
from metaplastic.stages.command import run
from metaplastic.update_rules.theta import save_theta, trained_rule


def average(
    thetas: Annotated[list[Path], Argument(help="Theta files of one config; a file named twice counts twice.")],
    output: Annotated[Path, Option(help="Theta file to write.")],
) -> None:
    """Write the mean of thetas, as Wortsman et al. 2022 average networks fine-tuned from the same weights."""
    specs, rules = zip(*map(trained_rule, thetas), strict=True)
    for path, spec in zip(thetas, specs, strict=True):
        if spec != specs[0]:
            raise InputError(f"{path}: of another config than {thetas[0]}; only thetas of one can be averaged")
    mean = jax.tree.map(lambda *leaves: jnp.stack(leaves).mean(0), *rules)
    save_theta(mean, output, spec=specs[0].model_dump(mode="json"))


if __name__ == "__main__":
    run(average)
