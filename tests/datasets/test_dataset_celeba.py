import json
from pathlib import Path

import numpy as np
import pytest
from celeba_folder import ATTRIBUTES, write_celeba
from metaplastic.datasets.arrays import load_inputs
from metaplastic.datasets.fetch import Fetch
from metaplastic.datasets.schema import TEST, TRAIN, VALIDATION
from metaplastic.datasets.spec import Celeba
from metaplastic.datasets.user import celeba
from metaplastic.few_shot.episode_accuracy import evaluation
from metaplastic.io.storage import read_zarr
from metaplastic.stages.prepare_dataset import prepare_dataset
from refusals import refused


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_celeba(tmp_path / "celeba")
    return tmp_path / "celeba"


def prepare(root: Path, side: int = 9):
    return celeba.prepare(Celeba(source="celeba", path=str(root), side=side), Fetch(root))


def test_every_image_has_the_attributes_and_the_split_that_the_lists_say(tmp_path):
    values = write_celeba(tmp_path)
    # The lists need not be in one order.
    attributes = tmp_path / "list_attr_celeba.txt"
    count, names, *rows = attributes.read_text().splitlines()
    attributes.write_text("\n".join([count, names, *reversed(rows)]))
    dataset = prepare(tmp_path, side=3)
    assert dataset.image.shape == (60, 3, 3, 3)
    np.testing.assert_array_equal(dataset.attribute, values)
    np.testing.assert_array_equal(dataset.split[:6], [TRAIN, TRAIN, TRAIN, TRAIN, VALIDATION, TEST])
    assert dataset.attribute_names == ATTRIBUTES
    of_split = {code: np.flatnonzero(dataset.attribute_split.values == code) for code in (TRAIN, VALIDATION, TEST)}
    ends = [(found[0], found[-1], len(found)) for found in of_split.values()]
    assert ends == [(0, 19, 20), (20, 29, 10), (30, 39, 10)]
    assert not dataset.label.any()
    assert "class_split" not in dataset
    # What the pixels say is what the list says.
    np.testing.assert_array_equal(load_inputs(prepare(tmp_path)).attributes.values, values)


def test_a_baseline_learner_is_evaluated_on_tasks_from_attributes(root, tmp_path):
    spec = json.dumps({"source": "celeba", "path": str(root), "side": 9})
    prepare_dataset("faces", spec, "abc", tmp_path / "cache", tmp_path / "faces.zarr")
    learner = {"kind": "from-scratch", "filters": 2, "steps": 2}
    episodes = json.dumps({"ways": [2], "shots": [1], "queries": 1, "episodes": 20})
    data = str(tmp_path / "faces.zarr")
    accuracy = evaluation(data=data, spec=episodes, code="abc", learner="scratch", section=learner)
    assert dict(accuracy.sizes) == {"way": 1, "shots": 1, "episode": 20}
    assert accuracy.attrs["dataset"] == "faces"
    assert read_zarr(tmp_path / "faces.zarr").attribute_names == ATTRIBUTES


def edit(name: str, old: str, new: str):
    def change(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new, 1))

    return change


ATTR, PART, IMAGES = Celeba.files[1], Celeba.files[2], Celeba.files[0]
BAD = {
    "attribute": (edit(ATTR, "Attribute_0 ", ""), "{0}/" + ATTR + ": line 2 has 39 attributes; give the 40 of CelebA"),
    "count": (edit(ATTR, "60", "61"), "{0}/" + ATTR + ": line 1 says '61', but 60 images follow; give the whole list"),
    "empty": (lambda r: (r / ATTR).write_text(""), "{0}/" + ATTR + ": line 2 has 0 attributes; give the 40 of CelebA"),
    "value": (edit(ATTR, " -1", " 0"), "{0}/" + ATTR + ": line 3 is not the name of an image and 40 times -1 or 1"),
    "part": (
        edit(PART, "000002.jpg 0", "000002.jpg 3"),
        "{0}/" + PART + ": line 2 is not the name of an image and 1 times 0 or 1 or 2",
    ),
    "twice": (edit(PART, "000002", "000001"), "{0}/" + PART + ": line 2: '000001.jpg' is there twice; keep one"),
    "text": (
        lambda r: (r / PART).write_bytes(b"\xff"),
        "{0}/" + PART + ": byte 0 is not ASCII; give the list of CelebA",
    ),
    "no such image": (
        lambda r: (r / IMAGES / "000007.jpg").unlink(),
        "{0}/" + IMAGES + ": lacks 1 images that {0}/" + ATTR + " has, such as '000007.jpg'",
    ),
    "not listed": (
        lambda r: (r / IMAGES / "more.jpg").write_bytes((r / IMAGES / "000007.jpg").read_bytes()),
        "{0}/" + ATTR + ": lacks 1 images that {0}/" + IMAGES + " has, such as 'more.jpg'",
    ),
    "leads out": (
        edit(PART, "000002.jpg", "../../x.jpg"),
        "{0}/" + IMAGES + ": lacks 1 images that {0}/" + PART + " has, such as '../../x.jpg'",
    ),
    "no test": (
        lambda r: (r / PART).write_text((r / PART).read_text().replace(" 2\n", " 1\n")),
        "{0}/" + PART + ": no test image; give some",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_lists_that_are_broken_or_disagree_are_one_line(root, change, message):
    change(root)
    assert refused(prepare, root) == message.format(root)
