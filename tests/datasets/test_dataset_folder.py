import json
import os
from pathlib import Path

import numpy as np
import pytest
from metaplastic.datasets.fetch import Fetch
from metaplastic.datasets.images import resize
from metaplastic.datasets.schema import TEST, TRAIN, VALIDATION
from metaplastic.datasets.spec import ImageFolder
from metaplastic.datasets.user import folder, image_files
from metaplastic.io.storage import read_zarr
from metaplastic.stages.prepare_dataset import prepare_dataset
from PIL import Image
from refusals import refused

CLASSES = {"train": ["ant", "bee"], "val": ["cat"], "test": ["dog", "eel"]}


def picture(seed: int, width: int = 9, height: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images a class, of different sizes."""
    root = tmp_path / "mine"
    for seed, (split, name) in enumerate((split, name) for split, names in CLASSES.items() for name in names):
        (root / split / name).mkdir(parents=True)
        for number in range(3):
            image = Image.fromarray(picture(10 * seed + number, 9 + number, 7 + number))
            image.save(root / split / name / f"{number}.png")
    return root


def prepare(root: Path, **keys):
    return folder.prepare(ImageFolder(source="folder", path=str(root), **{"side": 6, **keys}), Fetch(root / "cache"))


def test_images_are_resized_and_classes_stay_in_their_split(root):
    (root / "train/.DS_Store").touch()
    dataset = prepare(root)
    assert dataset.image.shape == (15, 6, 6, 3)
    np.testing.assert_array_equal(dataset.image[4], resize(picture(41, 10, 8)[None], 6, source="x")[0])
    assert dataset.class_names == ["dog", "eel", "ant", "bee", "cat"]
    np.testing.assert_array_equal(dataset.label, np.repeat(range(5), 3))
    np.testing.assert_array_equal(dataset.class_split, [TEST, TEST, TRAIN, TRAIN, VALIDATION])
    np.testing.assert_array_equal(dataset.split, dataset.class_split[dataset.label])
    assert (dataset.n_train, dataset.n_validation, dataset.n_test) == (6, 3, 6)


def test_images_of_one_size_need_no_side_and_grey_ones_have_one_channel(root):
    for path in root.rglob("*.png"):
        Image.fromarray(picture(0)).save(path.with_suffix(".JPG"), format="PNG")
        path.unlink()
    dataset = prepare(root, side=None, colour=False)
    assert dataset.image.shape == (15, 7, 9, 1)
    np.testing.assert_array_equal(dataset.image[0, ..., 0], np.asarray(Image.fromarray(picture(0)).convert("L")))


TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an image is stored that a viewer turns upright by its EXIF orientation."""


@pytest.mark.parametrize(("suffix", "keys"), [("png", {}), ("tiff", {}), ("webp", {"lossless": True}), ("JPG", {})])
def test_images_are_read_as_viewers_show_them(root, suffix, keys):
    upright = Image.new("RGB", (16, 8))
    upright.paste((255, 255, 255), (0, 0, 8, 4))
    for path in root.rglob("*.png"):
        path.unlink()
    for path in (root / split / name for split, names in CLASSES.items() for name in names):
        for orientation, turn in TURNED.items():
            exif = Image.Exif()
            exif[0x112] = orientation
            stored = upright if turn is None else upright.transpose(turn)
            stored.save(path / f"{orientation}.{suffix}", exif=exif, **keys)
    images = prepare(root, side=None).image.values
    assert np.abs(images.astype(int) - np.asarray(upright)).max() < 10


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [("png", "RGBA"), ("png", "LA"), ("png", "P"), ("webp", "RGBA"), ("tif", "RGBA"), ("bmp", "RGB"), ("TIF", "PA")],
)
def test_alpha_that_hides_nothing_is_dropped(root, suffix, mode):
    image = Image.fromarray(picture(0)).convert("RGBA").convert(mode)
    keys = {"transparency": 255} if mode == "P" else {}
    if mode == "P":
        image = Image.fromarray(picture(0)).quantize(200)
    image.save(root / f"train/ant/4.{suffix}", lossless=True, **keys)
    prepare(root)


def test_splits_may_be_written_in_any_case(root):
    for name in ("Train", "VAL", "Test"):
        (root / name.lower()).rename(root / name)
    np.testing.assert_array_equal(prepare(root).class_split, [TEST, TEST, TRAIN, TRAIN, VALIDATION])


def test_several_images_in_a_file_are_refused(root):
    pages = [Image.fromarray(picture(seed)) for seed in range(2)]
    pages[0].save(root / "train/ant/4.tif", save_all=True, append_images=pages[1:])
    assert refused(prepare, root).endswith("4.tif: 2 images in one file; save them one by one")


def test_equal_folders_have_equal_checksums_and_others_others(root):
    (before,) = prepare(root).checksum
    assert prepare(root).checksum == [before]
    (root / "test/dog/0.png").rename(root / "test/eel/9.png")
    assert prepare(root).checksum != [before]


def test_the_stage_writes_the_class_lists_of_every_split(root, tmp_path):
    spec = json.dumps({"source": "folder", "path": str(root), "side": 6})
    message = refused(prepare_dataset, "mine", spec, "abc", tmp_path / "cache", tmp_path / "x.zarr", shots=2)
    assert message == "mine: no class is in two splits, so only learners take it; list some under learners"
    prepare_dataset("mine", spec, "abc", tmp_path / "cache", tmp_path / "x.zarr")
    stored = read_zarr(tmp_path / "x.zarr")
    lists = {
        split: [name for name, of in zip(stored.class_names, stored.class_split.values, strict=True) if of == code]
        for split, code in {"train": TRAIN, "val": VALIDATION, "test": TEST}.items()
    }
    assert lists == CLASSES


def saved(mode: str, **keys):
    return lambda path: Image.new(mode, (9, 9)).save(path, **keys)


CHANGES = {
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:80]), "{}: broken, or no PNG or JPEG; replace or remove it"),
    "disguised": (saved("RGB", format="GIF"), "{}: broken, or no PNG or JPEG; replace or remove it"),
    "transparent": (saved("RGBA"), "{}: has transparent pixels; save it without"),
    "deep": (saved("I;16"), "{}: pixels of mode I;16; save it with 8 bits a channel"),
    "small": (saved("RGB"), "side: 10 is larger than the 9 of {}; give at most 9"),
    "nested": (lambda p: (p.parent / "more").mkdir(), "{.parent}/more: a folder among images; move it away"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_bad_file_is_one_line(root, change, message):
    path = root / "test/dog/1.png"
    for image in root.rglob("*.png"):
        Image.fromarray(picture(0, 12, 12)).save(image)
    change(path)
    assert refused(prepare, root, side=10) == message.format(path)


def test_pixel_bombs_are_not_decoded(root, monkeypatch):
    monkeypatch.setattr(image_files, "PIXELS", 100)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    Image.new("1", (101, 1)).save(root / "test/dog/0.png")
    assert refused(prepare, root).endswith("0.png: 101x1 pixels, more than the 100 that are read; give a smaller image")
    # Pillow's own limit, for what even it does not open.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    assert refused(prepare, root).endswith("0.png: more than the 100 pixels that are read; give a smaller image")


def test_what_cannot_fit_into_memory_is_refused_before(root, monkeypatch):
    monkeypatch.setattr("metaplastic.io.memory.device_memory", lambda: 15 * 6 * 6 * 3 * 4 - 1)
    assert "mine: side: 0.0 for images = 0.0 GiB at least, but there are 0.0 GiB; give" in refused(prepare, root)


LAYOUTS = {
    "no class": (
        lambda r: (
            [(path.unlink(), path.parent.exists()) for path in (r / "val/cat").iterdir()] and (r / "val/cat").rmdir()
        ),
        "{0}/val: no class; give a folder of images for each",
    ),
    "no image": (
        lambda r: [path.unlink() for path in (r / "val/cat").iterdir()],
        "{0}/val/cat: no image; give some, or remove the folder",
    ),
    "linked split": (
        lambda r: (r / "val").rename(r.parent / "val") and os.symlink(r.parent / "val", r / "val"),
        "{0}/val: a link; put what it leads to in its place",
    ),
    "none": (lambda r: r.rename(r.parent / "other"), "{0}: no such folder"),
}


@pytest.mark.parametrize(("change", "message"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_bad_layout_is_one_line(root, change, message):
    change(root)
    assert refused(prepare, root, side=None) == message.format(root)
