from pathlib import Path

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from metaplastic.datasets.fetch import Fetch
from metaplastic.datasets.sources import letters
from metaplastic.datasets.spec import Letters
from metaplastic.io.errors import InputError
from refusals import refused

SPEC = Letters(source="letters")
UNUSED = Fetch(Path("unused"))


@pytest.fixture(scope="module")
def dataset():
    return letters.prepare(SPEC, UNUSED)


@pytest.fixture(scope="module")
def some_faces():
    paths = {path.name: path for path in letters.installed_faces()}
    return [paths[name] for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "cmr10.ttf", "STIXGeneral.ttf")]


def test_every_face_has_every_character(dataset):
    n_faces = len(dataset.faces)
    assert n_faces >= 75
    assert len(set(dataset.faces)) == len(dataset.families) == len(dataset.checksum) == n_faces
    assert dataset.image.shape == (62 * n_faces, 28, 28, 1)
    assert "".join(dataset.class_names) == letters.CHARACTERS
    np.testing.assert_array_equal(dataset.label, np.tile(np.arange(62), n_faces))
    np.testing.assert_array_equal(dataset.character, dataset.label)
    np.testing.assert_array_equal(dataset.face, np.repeat(np.arange(n_faces), 62))


def test_no_glyph_is_blank_or_clipped_or_twice_there(dataset):
    images = dataset.image.values[..., 0]
    assert images.max((1, 2)).min() > 128
    border = np.ones((28, 28), bool)
    border[2:-2, 2:-2] = False
    assert not images[:, border].any()
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_glyphs_fill_their_room_and_are_centred(dataset):
    ink = dataset.image.values[..., 0] > 0
    extents = []
    for lines in (ink.any(2), ink.any(1)):
        before, after = lines.argmax(1), lines[:, ::-1].argmax(1)
        assert np.abs(before - after).max() <= 1
        extents.append(28 - before - after)
    assert np.maximum(*extents).reshape(-1, 62).max(1).min() >= 23


def test_one_scale_tells_upper_from_lower_case(dataset):
    areas = (dataset.image.values[..., 0] > 128).sum((1, 2)).reshape(-1, 62)
    for character in "cosvwxz":
        lower, upper = (areas[:, letters.CHARACTERS.index(case)] for case in (character, character.upper()))
        assert (lower < upper).all()


def test_whole_families_are_held_out(dataset):
    assert 0.15 * len(dataset.faces) <= dataset.held_out_face.values.sum() <= 0.2 * len(dataset.faces) + 0.5
    np.testing.assert_array_equal(dataset.split == 1, dataset.held_out_face.values[dataset.face])
    train, test = (set(np.array(dataset.families)[dataset.held_out_face.values == held]) for held in (False, True))
    assert test
    assert not train & test
    assert (dataset.n_train, dataset.n_test) == ((dataset.split == 0).sum(), (dataset.split == 1).sum())


def test_characters_are_held_out(dataset):
    assert dataset.held_out_character.dims == ("character_index",)
    assert dataset.held_out_character.values.sum() == 12


def test_the_same_spec_gives_the_same_dataset(some_faces):
    first, again = (letters.prepare(SPEC, UNUSED, some_faces) for _ in range(2))
    assert first.identical(again)
    other = letters.prepare(Letters(source="letters", split_seed=1), UNUSED, some_faces)
    assert (other.held_out_character != first.held_out_character).any()


@pytest.mark.parametrize("side", [6, 7, 16, 33])
def test_other_sides_keep_a_margin(some_faces, side):
    images = letters.prepare(Letters(source="letters", side=side), UNUSED, some_faces).image.values[..., 0]
    assert images.shape[1:] == (side, side)
    assert not images[:, [0, -1]].any()
    assert not images[:, :, [0, -1]].any()
    assert (images.max((1, 2)) > 0).all()


def test_unusable_and_repeated_faces_are_left_out(some_faces, tmp_path):
    symbols = [
        path for path in letters.installed_faces() if path.stem in {"cmsy10", "LastResortHE-Regular", "STIXNonUni"}
    ]
    assert len(symbols) == 3
    copy = tmp_path / "copy.ttf"
    copy.write_bytes(some_faces[0].read_bytes())
    dataset = letters.prepare(SPEC, UNUSED, [*symbols, *some_faces, copy])
    assert dataset.faces == [path.stem for path in some_faces]
    assert "none of the 3 font files holds all of A-Z, a-z and 0-9" in refused(letters.prepare, SPEC, UNUSED, symbols)


@pytest.mark.parametrize("keep", [0, 3, 500, 100_000, 500_000, 740_000])
def test_a_corrupt_font_is_named(some_faces, tmp_path, keep):
    corrupt = tmp_path / "Corrupt.ttf"
    corrupt.write_bytes(some_faces[0].read_bytes()[:keep])
    with pytest.raises(InputError, match=r"Corrupt\.ttf: no font, or a broken one .*; replace or remove the file$"):
        letters.prepare(SPEC, UNUSED, [some_faces[1], corrupt])


def test_a_face_with_a_blank_character_is_left_out(some_faces, tmp_path):
    with TTFont(some_faces[0]) as font:
        font["glyf"]["k"] = font["glyf"]["space"]
        font.save(tmp_path / "Blank.ttf")
    assert letters.prepare(SPEC, UNUSED, [tmp_path / "Blank.ttf", some_faces[2]]).faces == ["cmr10"]


def test_garbage_is_no_font(tmp_path):
    garbage = tmp_path / "Garbage.otf"
    garbage.write_text("This is no font.\n" * 100)
    assert "Garbage.otf: no font" in refused(letters.prepare, SPEC, UNUSED, [garbage])


def test_too_small_a_side_is_refused(some_faces):
    with pytest.raises(InputError, match="side: 5 leaves no room for a glyph and its margin; give at least 6"):
        letters.render(some_faces[0], 5)
