"""Stage: draw one figure in every format that an output names."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from typer import Option

from metaplastic.figures import style
from metaplastic.io.errors import InputError
from metaplastic.stages.command import named_paths, run


def draw_figure(
    input_: Annotated[
        list[str], Option("--input", help="NAME=PATH: results for the argument NAME of the figure; repeatable.")
    ],
    figure: Annotated[str, Option(help="A module of `metaplastic.figures`.")],
    output: Annotated[list[Path], Option(help="File to write, `.svg` or `.png`; may be given several times.")],
) -> None:
    """Draw a figure from results."""
    # The workflow gives this module to the fingerprint by name, so that each figure is redrawn alone.
    name = f"metaplastic.figures.{figure}"
    draw = getattr(import_module(name), "draw", None) if figure.isidentifier() and find_spec(name) else None
    if draw is None:
        raise InputError(f"--figure: {figure!r} is not a module of figures")
    inputs = named_paths("--input", input_)
    with style.theme():
        drawn = draw(**inputs)
        for file in output:
            style.save(drawn, file)


if __name__ == "__main__":
    run(draw_figure)
