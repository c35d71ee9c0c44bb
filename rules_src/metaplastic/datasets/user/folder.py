"""Images of a user, `<folder>/<split>/<class>/<image>`, for few-shot learning: no class is in two splits."""

from pathlib import Path

import numpy as np
import xarray as xr

from metaplastic.datasets.fetch import Fetch, made_from
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.spec import ImageFolder
from metaplastic.datasets.user.image_files import entries, read_folders
from metaplastic.datasets.user.labels import SPLITS, check_names
from metaplastic.io.errors import InputError


def prepare(spec: ImageFolder, fetch: Fetch) -> xr.Dataset:
    """Return the images in the schema, classes named after their folders, in the order of splits and names.

    Raises:
        InputError: a folder is missing or empty or holds something else, a class is in two splits, or as for
            `read_folders`; the message names the folder or file.
    """
    root = Path(spec.path)
    classes: dict[str, Path] = {}
    for folder in _splits(root):
        for of_class in entries(folder):
            if (other := classes.setdefault(of_class.name, of_class)) is not of_class:
                raise InputError(f"{of_class}: a class that is also at {other}; no class may be in two splits")
    check_names(list(classes), str(root))
    split = np.array([SPLITS[of_class.parent.name.lower()] for of_class in classes.values()], np.uint8)
    pixels, label, digest = read_folders(list(classes.values()), root, side=spec.side, colour=spec.colour)
    about = About(spec.source, root.name, licence="not stated", citation="not stated")
    origin = made_from("members", f"{digest}  {root.name}")
    return make_dataset(pixels, label, split[label], about, class_names=list(classes), **origin)


def _splits(root: Path) -> list[Path]:
    """Return the folders of the splits, each of which has classes."""
    folders = entries(root)
    of_split: dict[int, Path] = {}
    for folder in folders:
        if folder.name.lower() not in SPLITS:
            raise InputError(f"{folder}: no split; folders in {root} are train, test and perhaps val")
        if not entries(folder):
            raise InputError(f"{folder}: no class; give a folder of images for each")
        of_split.setdefault(SPLITS[folder.name.lower()], folder)
    for name in ("train", "test"):
        if SPLITS[name] not in of_split:
            raise InputError(f"{root}: no folder {name}; give train, test and perhaps val, each of folders of classes")
    for folder in folders:
        if (first := of_split[SPLITS[folder.name.lower()]]) is not folder:
            raise InputError(f"{root}: both {first.name} and {folder.name}; give one of them")
    return folders
