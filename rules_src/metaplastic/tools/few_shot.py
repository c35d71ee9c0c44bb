"""The command `metaplastic few-shot`: learn from unlabelled images, then label images by a few labelled ones."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import csv
from typer import Argument, Option

from metaplastic.config.base import LARGEST, LARGEST_SEED
from metaplastic.few_shot.spec import METHODS
from metaplastic.io.errors import InputError, blamed_on, check_output
from metaplastic.io.storage import write_whole

SUFFIX = ".safetensors"
OF_LEARNER = "the learner's"
IMAGES, LABELS = "x", "y"
"""Names of the arrays of a `.npz`."""


class Given(NamedTuple):
    """Images that were given, with a name for each and the labels, if they have any."""

    path: Path
    images: np.ndarray
    names: dict[str, list[Any]]
    """Column of the output that names the images."""
    labels: np.ndarray | None = None


def few_shot(
    unlabelled: Annotated[
        Path | None, Argument(help="Images to learn from without labels: a folder, or a .npz with an array x.")
    ] = None,
    *,
    support: Annotated[
        Path, Option(help="Labelled images: a folder with a folder for each class, or a .npz with arrays x and y.")
    ],
    query: Annotated[Path, Option(help="Images to label: a folder, or a .npz with an array x.")],
    output: Annotated[Path, Option(help="Table to write, .csv: file or row, class and probability.")],
    learner: Annotated[
        str | None,
        Option(
            help="Learn nothing from unlabelled images, whatever other options say: file of --save or of the workflow, "
            "or name of a packaged one."
        ),
    ] = None,
    save: Annotated[Path | None, Option(help="File to save the learner to, .safetensors, for --learner.")] = None,
    method: Annotated[str, Option(help=f"One of {', '.join(METHODS)}.")] = METHODS[0],
    embedding: Annotated[
        str, Option(help="What is clustered or, by nearest neighbours, compared, such as acai, blurred or pca.")
    ] = "contrastive",
    jitter: Annotated[bool, Option(help="Shift, turn and bend images of tasks.")] = True,
    steps: Annotated[int, Option(help="Steps of the embedding and of the learner.", min=1, max=LARGEST)] = 2000,
    neighbours: Annotated[
        bool, Option("--neighbours", help="Classes of tasks are an image and its nearest ones, instead of clusters.")
    ] = False,
    rounds: Annotated[int, Option(help="Trainings, each on clusters of what the one before has learned.", min=1)] = 1,
    seed: Annotated[int, Option(help="Seed of everything random.", min=0, max=LARGEST_SEED)] = 0,
    side: Annotated[
        int | None, Option(help="Height and width to resize images of folders to.", show_default=OF_LEARNER, min=1)
    ] = None,
    colour: Annotated[
        bool | None,
        Option("--colour/--grey", help="Channels of images of folders.", show_default=f"{OF_LEARNER}, or colour"),
    ] = None,
    state: Annotated[Path | None, Option(help="Folder where a command that was stopped goes on.")] = None,
) -> None:
    """Learn from unlabelled images, then from a few labelled ones, and label others."""
    # Other commands start sooner without it, and without JAX.
    from metaplastic.few_shot_classifier import FewShotClassifier

    if (unlabelled is None) == (learner is None):
        raise InputError("give either a folder of unlabelled images or --learner")
    for path, suffix in ((output, ".csv"), (save, SUFFIX)):
        if path is not None:
            check_output(path, suffix)
    how: dict[str, Any] = {"jitter": jitter, "steps": steps, "rounds": rounds, "random_state": seed, "folder": state}
    model = FewShotClassifier(embedding, method, clusters="neighbours" if neighbours else None, verbose=True, **how)
    with blamed_on():
        model.check_parameters()
    if learner is not None:
        given = None if side is None or colour is None else (side, side, 3 if colour else 1)
        of_file = learner.endswith(SUFFIX)
        model = FewShotClassifier.load(learner, image=given) if of_file else FewShotClassifier.from_pretrained(learner)
        rows, columns, channels = model.image_shape_
        side = side or (rows if rows == columns else None)
        colour = channels == 3 if colour is None else colour
    read = partial(_read, side=side, colour=colour is not False)
    # All of them before anything is learned.
    shown, asked = _read_labelled(support, side=side, colour=colour is not False), read(query)
    if unlabelled is not None:
        learned_from = read(unlabelled)
        for other in (shown, asked):
            if (found := other.images.shape[1:]) != (shape := learned_from.images.shape[1:]):
                raise InputError(f"{other.path}: images of {found}, {unlabelled} has {shape}; give --side, or others")
        with blamed_on(unlabelled):
            model.fit(learned_from.images)
    if save is not None:
        model.save(save)
    with blamed_on(support):
        model.adapt(shown.images, shown.labels)
    with blamed_on(query):
        probabilities = model.predict_proba(asked.images)
    predicted = {"class": model.classes_[probabilities.argmax(1)], "probability": probabilities.max(1).round(6)}
    table, options = pa.table(asked.names | predicted), csv.WriteOptions(quoting_style="needed")
    write_whole(output, lambda temporary: csv.write_csv(table, temporary, options))


def _read(path: Path, *, side: int | None, colour: bool) -> Given:
    # What reads images is of an extra, which `metaplastic features` does without.
    from metaplastic.datasets.user.image_files import image_files, read_images

    if path.suffix.lower() == ".npz":
        (images,) = _arrays(path, [IMAGES], side)
        return Given(path, images, {"row": list(range(len(images)))})
    files = image_files(path)
    images, _ = read_images(files, path, side=side, colour=colour)
    return Given(path, images, {"file": [file.name for file in files]})


def _read_labelled(path: Path, *, side: int | None, colour: bool) -> Given:
    from metaplastic.datasets.user.image_files import entries, read_folders
    from metaplastic.datasets.user.labels import check_names

    if path.suffix.lower() == ".npz":
        images, labels = _arrays(path, [IMAGES, LABELS], side)
        return Given(path, images, {}, labels)
    folders = entries(path)
    if not folders:
        raise InputError(f"{path}: no class; give a folder of images for each")
    names = [folder.name for folder in folders]
    check_names(names, str(path))
    images, classes, _ = read_folders(folders, path, side=side, colour=colour)
    return Given(path, images, {}, np.array(names)[classes])


def _arrays(path: Path, names: list[str], side: int | None) -> list[np.ndarray]:
    """Read arrays of a `.npz`, whose images are of the size that they have."""
    from metaplastic.datasets.user.file import LIMIT, check_file
    from metaplastic.datasets.user.npz import read_npz

    check_file(path)
    arrays = read_npz(path, names, limit=LIMIT)
    images = arrays[IMAGES]
    if images.ndim not in (3, 4) or not len(images):
        raise InputError(f"{path}: array {IMAGES!r}: shape {images.shape}; give images [image, row, column, channel]")
    if side is not None and images.shape[1:3] != (side, side):
        raise InputError(f"{path}: images of {images.shape[1]} x {images.shape[2]}; --side resizes those of folders")
    # As images of folders have them.
    arrays[IMAGES] = images.reshape(*images.shape[:3], -1)
    return [arrays[name] for name in names]
