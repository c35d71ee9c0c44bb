"""The one kind of error that a user can cause and mend, what brings a missing package, checks of where results go."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(Exception):
    """Something the user gave is wrong: a key, a file or a value.

    The message is one line that names it and says what to do; commands print it without a traceback.
    """


@contextmanager
def blamed_on(place: object = "") -> Iterator[None]:
    """Raise a ValueError or TypeError from within as an `InputError`, whose message begins with `place` if given."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise InputError(f"{place}: {error}" if place else str(error)) from error


_OF_WORKFLOW = (
    "PIL altair fontTools h5netcdf jinja2 mlxtend optax pooch rendercv_fonts snakemake tqdm vl_convert yaml zarr"
)
EXTRAS = {
    **dict.fromkeys(_OF_WORKFLOW.split(), "workflow"),
    **dict.fromkeys(("matplotlib", "seaborn"), "figures"),
    "umap": "embeddings",
}
"""The extra of the project that brings a package, by the name that it is imported by."""


def what_brings(missing: ModuleNotFoundError) -> str | None:
    """Return one line that names the package that is missing and the extra that brings it; None if no extra does."""
    package = str(missing.name).partition(".")[0]
    extra = EXTRAS.get(package)
    return f"{package} is not installed; run: pip install 'metaplastic[{extra}]'" if extra else None


@contextmanager
def extras_named(place: str) -> Iterator[None]:
    """If an import within fails for want of a package, say which extra brings it; the message begins with `place`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if line := what_brings(error):
            raise ModuleNotFoundError(f"{place}: {line}", name=error.name) from error
        raise


def check_writable(folder: Path, place: str) -> None:
    """Raise an `InputError` that begins with `place` unless `folder` can be written to, or made if it is not there."""
    places = [folder.absolute(), *folder.absolute().parents]
    # A link to nowhere stands in the way too.
    above = next(each for each in places if each.is_symlink() or each.exists())
    if not above.is_dir():
        raise InputError(f"{place}: {above} is not a folder; give another, or move it away")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{place}: {above} cannot be written to; give another")


def check_output(path: Path, *suffixes: str) -> None:
    """Raise an `InputError` unless `path` has one of these suffixes and can be written to, there or where it leads."""
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: no {' or '.join(suffixes)}; name one")
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise InputError(f"{path}: a link that leads to itself; name another file")
    if target.exists() and not target.is_file():
        raise InputError(f"{path}: {'a folder' if target.is_dir() else 'a pipe or device'}; name another file")
    check_writable(target.parent, str(path))
