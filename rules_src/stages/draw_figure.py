"""Stage: one figure, in as many formats as outputs are named."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from rules_src.errors import InputError
from rules_src.figures import style
from rules_src.stages.command import run

FIGURES = (
    "accuracy_over_compute",
    "accuracy_over_inner_steps",
    "few_shot_bars",
    "first_layer_filters",
    "meta_training_curves",
)


def draw_figure(
    inputs: Annotated[list[Path], Argument(help="Results that the figure shows.")],
    figure: Annotated[str, Option(help=f"One of {', '.join(FIGURES)}.")],
    output: Annotated[list[Path], Option(help="File to write, `.svg` or `.png`; may be given several times.")],
) -> None:
    """Draw a figure from results."""
    if figure not in FIGURES:
        raise InputError(f"--figure: {figure!r} is none of {', '.join(FIGURES)}")
    # Imported by name, and declared to the workflow's fingerprint as a root of its own: each figure redraws alone.
    module = import_module(f"rules_src.figures.{figure}")
    with style.theme():
        drawn = module.draw(inputs)
        for path in output:
            style.save(drawn, path)


if __name__ == "__main__":
    run(draw_figure)
