"""A-Z, a-z and 0-9 rendered from the Latin faces of installed packages."""

import string
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from fontTools import agl  # type: ignore[import-untyped]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw, ImageFont

from metaplastic.datasets.fetch import Fetch, made_from, package_file, read_raw
from metaplastic.datasets.images import resize
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.spec import Letters
from metaplastic.datasets.splits import rounded_share
from metaplastic.io.errors import InputError

ABOUT = About(
    source="letters",
    title="Rendered letters and digits",
    licence="the fonts': SIL OFL and the licences of DejaVu, STIX and Computer Modern; see the packages",
    citation="rendered by this package from the fonts of rendercv-fonts and matplotlib",
)

CHARACTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits

OVERSAMPLING = 4
"""Factor by which glyphs are drawn larger before area averaging, which gives smooth greys and hides hinting."""
COMPARISON_SIDE = 16
"""Side at which faces are compared; two faces with the same pixels count as one."""

Glyphs = UInt8[np.ndarray, "62 side side"]


class Face(NamedTuple):
    """A face that holds all characters."""

    family: str
    path: Path
    glyphs: Glyphs


def prepare(spec: Letters, fetch: Fetch, faces: Sequence[Path] | None = None) -> xr.Dataset:
    """Render the characters in all usable faces, `image (faces * 62, side, side, 1)`, white on black.

    Each glyph is centred and keeps a margin; a face has one scale for all its characters, so that c and C differ.
    Tasks draw the jitter. Beyond the schema: `character (example)` and `face (example)`, indices into the attributes
    `class_names` and `faces`, and what is held out of meta-training: `held_out_character (character_index)` and
    `held_out_face (face_index)`. Split `test` holds all characters of the held-out faces, or the held-out characters in
    all faces. `faces` are font files, by default those of rendercv-fonts and matplotlib; nothing is fetched.

    Raises:
        InputError: a package is missing, a file is not a font, no face is usable, or `side` leaves no room for a glyph.
    """
    usable = load_faces(installed_faces() if faces is None else faces, spec.side)
    rng = np.random.default_rng(spec.split_seed)
    held_out_face = _draw_families([face.family for face in usable], spec.held_out_faces, rng)
    held_out_character = np.zeros(len(CHARACTERS), bool)
    held_out_character[rng.permutation(len(CHARACTERS))[: rounded_share(spec.held_out_characters, len(CHARACTERS))]] = 1
    face, character = (index.ravel() for index in np.indices((len(usable), len(CHARACTERS)), np.int32))
    pixels = np.concatenate([face.glyphs for face in usable])[..., None]
    split = held_out_face[face] if spec.split_by == "faces" else held_out_character[character]
    names = {"faces": [face.path.stem for face in usable], "families": [face.family for face in usable]}
    origin = made_from("installed packages' files", *(read_raw(face.path) for face in usable))
    dataset = make_dataset(pixels, character, split, ABOUT, class_names=list(CHARACTERS), **names, **origin)
    return dataset.assign(
        character=("example", character),
        face=("example", face),
        held_out_character=("character_index", held_out_character),
        held_out_face=("face_index", held_out_face),
    )


def installed_faces() -> list[Path]:
    """Return the font files of rendercv-fonts and matplotlib, in alphabetical order within each; import neither."""
    folders = package_file("rendercv_fonts"), package_file("matplotlib", "mpl-data", "fonts", "ttf")
    return [path for folder in folders for path in sorted(folder.rglob("*.[ot]tf"))]


def load_faces(paths: Sequence[Path], side: int) -> list[Face]:
    """Load the font files that hold all characters and do not look like an earlier file; refuse what is not a font."""
    faces: dict[bytes, Face] = {}
    for path in paths:
        try:
            with TTFont(path, fontNumber=0) as font:
                if not _holds_characters(font):
                    continue
                family = font["name"].getDebugName(16) or font["name"].getDebugName(1) or path.stem
            look = render(path, COMPARISON_SIDE)
            if look.any((1, 2)).all():
                faces.setdefault(look.tobytes(), Face(family, path, render(path, side)))
        except InputError:
            raise
        except Exception as error:  # a broken font may raise anything, in fontTools or in FreeType
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: no font, or a broken one ({reason}); replace or remove the file") from error
    if not faces:
        raise InputError(f"letters: none of the {len(paths)} font files holds all of A-Z, a-z and 0-9; give others")
    return list(faces.values())


def render(path: Path, side: int) -> Glyphs:
    """Draw the characters, each centred, at the one largest scale that keeps the margin; refuse a side without room."""
    canvas = side * OVERSAMPLING
    room = canvas - 2 * OVERSAMPLING * max(1, side // 14)
    if room < 4 * OVERSAMPLING:
        raise InputError(f"side: {side} leaves no room for a glyph and its margin; give at least 6")
    # Ink is proportional to the size but for hinting, so the search starts a little above the estimate.
    for size in count(room * room // max(1, _draw(path, room)[1]) + 2, -1):
        glyphs, extent = _draw(path, size)
        if extent <= room:
            break
    drawn = np.empty((len(CHARACTERS), canvas, canvas, 1), np.uint8)
    for index, glyph in enumerate(glyphs):
        image = Image.new("L", (canvas, canvas))
        image.paste(glyph, ((canvas - glyph.width) // 2, (canvas - glyph.height) // 2))
        drawn[index, ..., 0] = np.asarray(image)
    return resize(drawn, side, source=ABOUT.source)[..., 0]


def _draw(path: Path, size: int) -> tuple[list[Image.Image], int]:
    """Draw the characters, cropped to their ink; return them and their greatest height or width."""
    font = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
    glyphs = []
    for character in CHARACTERS:
        image = Image.new("L", (3 * size, 3 * size))
        # Pillow clips at fractions of a pixel.
        ImageDraw.Draw(image).text((size, size), character, fill=255, font=font)
        glyphs.append(image.crop(image.getbbox() or (0, 0, 0, 0)))
    return glyphs, max(max(glyph.size) for glyph in glyphs)


def _holds_characters(font: TTFont) -> bool:
    """Return whether each character has a glyph of its own that is not named after another symbol."""
    cmap = font.getBestCmap() or {}
    names = [cmap.get(ord(character), ".notdef") for character in CHARACTERS]
    unique = ".notdef" not in names and len(set(names)) == len(names)
    return unique and all(agl.toUnicode(name) in ("", own) for name, own in zip(names, CHARACTERS, strict=True))


def _draw_families(families: Sequence[str], fraction: float, rng: np.random.Generator) -> Bool[np.ndarray, " face"]:
    """Mark up to `fraction` of the faces, whole families at a time, as a bold face resembles its regular."""
    wanted = rounded_share(fraction, len(families))
    marked = np.zeros(len(families), bool)
    for family in rng.permutation(sorted(set(families))):
        members = np.array([name == family for name in families])
        if marked.sum() + members.sum() <= wanted:
            marked |= members
    return marked
