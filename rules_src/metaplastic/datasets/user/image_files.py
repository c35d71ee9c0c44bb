"""Read folders of images of a user: trust nothing in them, and check sizes before decoding."""

import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image, ImageOps
from tqdm import tqdm

from metaplastic.datasets.fetch import members_digest
from metaplastic.datasets.images import resize
from metaplastic.io.errors import InputError
from metaplastic.io.memory import check_memory, single_precision

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Allowed modes: at most 8 bits per channel."""
OPAQUE = 255
FILE_LIMIT = 1 << 26
"""Most bytes of a file."""
PIXELS = 1 << 26
"""Most pixels of an image; decoding takes some 12 bytes for each."""


def entries(folder: Path) -> list[Path]:
    """Return the content of a folder in the order of names, without hidden files.

    Raises:
        InputError: there is no such folder, or it has a link, which may lead outside or to a file that is there twice.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: {'a file; give a folder' if folder.exists() else 'no such folder'}")
    found = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)
    for path in found:
        if path.is_symlink():
            raise InputError(f"{path}: a link; put what it leads to in its place")
        if not path.name.isprintable():
            raise InputError(f"{folder}: {path.name!r} has a character that cannot be shown; rename it")
    return found


def image_files(folder: Path) -> list[Path]:
    """Return the images in a folder as `entries` does; refuse a folder without images or with something else."""
    found = entries(folder)
    for path in found:
        if not path.is_file():
            raise InputError(f"{path}: a folder among images; move it away")
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path}: its name is not that of a PNG or JPEG; move it away")
    if not found:
        raise InputError(f"{folder}: no image; give some, or remove the folder")
    return found


def read_images(
    paths: Sequence[Path], root: Path, *, side: int | None, colour: bool
) -> tuple[UInt8[np.ndarray, "example row column channel"], str]:
    """Decode files and show the progress; return the pixels and the `fetch.members_digest` of the files below `root`.

    Images are turned as viewers show them. Whole images of any proportions are resized by area to `side` x `side`; if
    it is None, all must have one size. `colour` asks for three channels instead of one of luminance.

    Raises:
        InputError: a file is empty, too large, broken, transparent, or of more pixels or another size than allowed; the
            message names it.
    """
    first, _ = _read(paths[0], side, colour)
    # Methods take images in single precision.
    check_memory(f"{root}: side", {"images": single_precision(len(paths), *first.shape)})
    pixels = np.empty((len(paths), *first.shape), np.uint8)

    def members() -> Iterator[tuple[str, bytes]]:
        for number, path in enumerate(tqdm(paths, unit="image", file=sys.stderr, mininterval=10, delay=10)):
            image, content = _read(path, side, colour)
            if image.shape != first.shape:
                here, there = (f"{shape[1]}x{shape[0]}" for shape in (image.shape, first.shape))
                raise InputError(f"{path}: {here} pixels, {paths[0]} has {there}; give side, which resizes all")
            pixels[number] = image
            yield path.relative_to(root).as_posix(), content

    digest = members_digest(members())  # fills `pixels`
    return pixels, digest


def read_folders(
    folders: Sequence[Path], root: Path, *, side: int | None, colour: bool
) -> tuple[UInt8[np.ndarray, "example row column channel"], Int32[np.ndarray, " example"], str]:
    """Read a folder of images for each class; return pixels, classes by the place of their folder, and a digest.

    Raises:
        InputError: as for `image_files` and `read_images`.
    """
    files = [image_files(folder) for folder in folders]
    classes = np.repeat(np.arange(len(files), dtype=np.int32), [len(of_class) for of_class in files])
    pixels, digest = read_images(list(chain.from_iterable(files)), root, side=side, colour=colour)
    return pixels, classes, digest


def _read(path: Path, side: int | None, colour: bool) -> tuple[UInt8[np.ndarray, "row column channel"], bytes]:
    """Return the pixels and the content of a file."""
    size = path.stat().st_size
    if not size:
        raise InputError(f"{path}: empty; replace or remove it")
    if size > FILE_LIMIT:
        raise InputError(f"{path}: {size} bytes, more than the {FILE_LIMIT} that are read; give a smaller image")
    content = path.read_bytes()
    try:
        with warnings.catch_warnings():
            # Pillow's own limits, which are higher.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > PIXELS:
                    shape = f"{image.width}x{image.height}"
                    raise InputError(
                        f"{path}: {shape} pixels, more than the {PIXELS} that are read; give a smaller image"
                    )
                # A JPEG with a preview behind it is one image.
                if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
                    raise InputError(f"{path}: {frames} images in one file; save them one by one")
                if image.mode not in MODES:
                    raise InputError(f"{path}: pixels of mode {image.mode}; save it with 8 bits a channel")
                upright = ImageOps.exif_transpose(image)
                if upright.has_transparency_data:
                    upright = upright.convert("RGBA")
                    if np.asarray(upright.getchannel("A")).min() < OPAQUE:
                        raise InputError(f"{path}: has transparent pixels; save it without")
                pixels = np.asarray(upright.convert("RGB" if colour else "L"))
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: more than the {PIXELS} pixels that are read; give a smaller image") from error
    except Exception as error:  # decoders may raise anything on broken files
        raise InputError(f"{path}: broken, or no PNG or JPEG; replace or remove it") from error
    shaped = pixels.reshape(*pixels.shape[:2], -1)
    return resize(shaped[None], side, source=str(path))[0] if side else shaped, content
