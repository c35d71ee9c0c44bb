import hashlib
import io
import zipfile

import numpy as np
import pytest
from metaplastic.datasets.fetch import RemoteFile, members_digest
from metaplastic.datasets.schema import OMNIGLOT, permuted
from metaplastic.datasets.sources import omniglot
from metaplastic.datasets.spec import Omniglot
from metaplastic.io.errors import InputError
from PIL import Image

SPEC = Omniglot(source="omniglot", side=21)


def png(row: int) -> bytes:
    """A white page with one line of ink."""
    image = Image.new("1", (105, 105), 1)
    image.paste(0, (0, row, 105, row + 5))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def drawings(part: str, characters: list[str]) -> dict[str, bytes]:
    names = [
        f"images_{part}/{character}/{index:04}_0{n}.png" for index, character in enumerate(characters) for n in (1, 2)
    ]
    return {name: png(5 * index) for index, name in enumerate(names)}


BACKGROUND = drawings("background", ["Greek/character01", "Greek/character02", "Latin/character01"])
EVALUATION = drawings("evaluation", ["Tibetan/character01"])


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in reversed(members.items()):
            file.writestr(name, content)
        file.writestr("images_background/readme.txt", "ignored")
    return buffer.getvalue()


def part(name: str, members: dict[str, bytes], *, official: bool) -> RemoteFile:
    md5 = hashlib.md5(packed(members) if official else b"other packing").hexdigest()  # noqa: S324
    return RemoteFile(name, "http://127.0.0.1:9/", f"md5:{md5}", members_digest(members.items()))


@pytest.mark.parametrize(("official", "kind"), [(True, "official files"), (False, "members")])
def test_characters_are_classes_and_ink_is_white(mirror, official, kind):
    fetch = mirror("omniglot", **{"train.zip": packed(BACKGROUND), "test.zip": packed(EVALUATION)})
    train, test = part("train.zip", BACKGROUND, official=official), part("test.zip", EVALUATION, official=official)
    dataset = omniglot.prepare(SPEC, fetch, train, test)
    assert dataset.label.values.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert dataset.split.values.tolist() == [0] * 6 + [1] * 2
    assert dataset.class_names == ["Greek/character01", "Greek/character02", "Latin/character01", "Tibetan/character01"]
    assert dataset.checksum_kind == kind
    expected = np.zeros((21, 21), np.uint8)
    expected[3] = 255
    np.testing.assert_array_equal(dataset.image.values[3, ..., 0], expected)


@pytest.mark.parametrize(
    ("classes", "side", "published"), [("characters", 28, OMNIGLOT), ("alphabets", 28, None), ("characters", 21, None)]
)
def test_the_split_and_size_of_the_paper_are_its_benchmark_unless_permuted(mirror, classes, side, published):
    fetch = mirror("omniglot", **{"train.zip": packed(BACKGROUND), "test.zip": packed(EVALUATION)})
    archives = part("train.zip", BACKGROUND, official=True), part("test.zip", EVALUATION, official=True)
    dataset = omniglot.prepare(Omniglot(source="omniglot", classes=classes, side=side), fetch, *archives)
    assert dataset.attrs.get("benchmark") == published
    assert "benchmark" not in permuted(dataset, 1).attrs


def test_other_drawings_are_refused(mirror):
    fetch = mirror(
        "omniglot", **{"train.zip": packed(BACKGROUND | {"images_background/A/character01/0_1.png": png(0)})}
    )
    with pytest.raises(InputError, match=r"mirror/omniglot/train\.zip: wrong checksum, expected md5:.* got members of"):
        omniglot.prepare(SPEC, fetch, part("train.zip", BACKGROUND, official=False))


def test_drawings_of_too_many_bytes_in_all_are_refused(mirror, monkeypatch):
    monkeypatch.setattr(omniglot, "TOTAL_LIMIT", 100)
    fetch = mirror("omniglot", **{"train.zip": packed(BACKGROUND)})
    with pytest.raises(InputError, match=r"train\.zip: unpacks to more than 100 bytes; replace the file$"):
        omniglot.prepare(SPEC, fetch, part("train.zip", BACKGROUND, official=False))
