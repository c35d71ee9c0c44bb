"""The command `metaplastic few-shot`."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from metaplastic.cli import main
from metaplastic.config.base import canonical_json
from metaplastic.few_shot.learners.protonets import initial
from metaplastic.few_shot.spec import ProtoNets
from metaplastic.few_shot_classifier import FewShotClassifier
from metaplastic.io.errors import InputError
from metaplastic.tools.few_shot import few_shot
from metaplastic.training.checkpoint import save_state
from PIL import Image
from refusals import refused

SIDE = 12
PATTERNS = {"crosses": np.eye(SIDE) + np.eye(SIDE)[::-1] > 0, "stripes": np.arange(SIDE) % 2 * np.ones((SIDE, 1)) > 0}
OF_PIXELS = {"embedding": "raw", "method": "nearest-neighbours"}


def images(name: str, count: int, *, seed: int) -> np.ndarray:
    """Noisy pictures of a pattern: uint8 [image, row, column]."""
    noise = np.random.default_rng(seed).normal(size=(count, SIDE, SIDE))
    return np.clip(60 + 140 * PATTERNS[name] + 20 * noise, 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folders of images: unlabelled ones, two classes of two, and four to label."""
    for kind, name in enumerate(PATTERNS):
        for number, pixels in enumerate(images(name, 8, seed=kind)):
            place = "labelled/" + name if number < 2 else "query" if number < 4 else "unlabelled"
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / place / f"{number}-{name}.png")
    return tmp_path


def told(folder: Path, **options: Any) -> list[dict[str, str]]:
    given = {"support": folder / "labelled", "query": folder / "query", "output": folder / "out.csv"} | OF_PIXELS
    few_shot(**({"unlabelled": folder / "unlabelled"} | given | options))
    with (folder / "out.csv").open() as file:
        return list(csv.DictReader(file))


def test_images_in_folders_are_labelled_by_the_names_of_folders(folder: Path) -> None:
    rows = told(folder)
    assert [row["file"] for row in rows] == ["2-crosses.png", "2-stripes.png", "3-crosses.png", "3-stripes.png"]
    assert [row["class"] for row in rows] == ["crosses", "stripes"] * 2
    assert all(0.5 < float(row["probability"]) <= 1 for row in rows)


def test_a_learner_that_was_saved_or_trained_by_the_workflow_learns_nothing_more(folder: Path, tmp_path: Path) -> None:
    mine = str(tmp_path / "mine.safetensors")
    before = told(folder, side=6, colour=False, save=tmp_path / "mine.safetensors")
    assert FewShotClassifier.load(mine).image_shape_ == (6, 6, 1)
    # Size and channels are the learner's.
    assert told(folder, unlabelled=None, learner=mine) == before
    assert refused(told, folder, unlabelled=None, learner="none").startswith("no packaged few-shot learner 'none'; ")


def test_a_snapshot_of_the_workflow_takes_images_of_the_size_that_is_given(tmp_path: Path, folder: Path) -> None:
    spec, snapshot = ProtoNets(kind="protonets", filters=2), tmp_path / "step-000100.safetensors"
    for file in folder.rglob("*.png"):
        Image.open(file).resize((20, 20)).save(file)
    save_state(initial(spec, jax.random.key(0), (16, 16, 3)), snapshot, {"config": canonical_json(spec)})
    rows = told(folder, unlabelled=None, learner=str(snapshot), side=16, colour=True)
    assert {row["class"] for row in rows} <= set(PATTERNS)
    with pytest.raises(InputError, match=r"a snapshot of the workflow, which has no size of images; give it"):
        told(folder, unlabelled=None, learner=str(snapshot))


def test_arrays_are_read_too_and_rows_numbered(tmp_path: Path) -> None:
    each = np.concatenate([images(name, 3, seed=kind) for kind, name in enumerate(PATTERNS)])
    np.savez(tmp_path / "all.npz", x=each, y=np.repeat([7, 8], 3))
    arrays = tmp_path / "all.npz"
    rows = told(tmp_path, unlabelled=arrays, support=arrays, query=arrays)
    assert [row["row"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert [row["class"] for row in rows] == ["7", "7", "7", "8", "8", "8"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unlabelled": None}, "give either a folder of unlabelled images or --learner"),
        ({"learner": "glyphs"}, "give either a folder of unlabelled images or --learner"),
        ({"output": "out.txt"}, "FOLDER/out.txt: no .csv; name one"),
        ({"save": "mine.pkl"}, "FOLDER/mine.pkl: no .safetensors; name one"),
        (
            {"output": "query/2-crosses.png/out.csv"},
            "FOLDER/query/2-crosses.png/out.csv: FOLDER/query/2-crosses.png is not a folder",
        ),
        ({"unlabelled": "nowhere"}, "FOLDER/nowhere: no such folder"),
        ({"query": "empty"}, "FOLDER/empty: no image; give some, or remove the folder"),
        ({"support": "empty"}, "FOLDER/empty: no class; give a folder of images for each"),
        ({"support": "query"}, "FOLDER/query/2-crosses.png: a file; give a folder"),
        ({"support": "lacking"}, "FOLDER/lacking/none: no image; give some, or remove the folder"),
        ({"query": "broken"}, "FOLDER/broken/1.png: broken, or no PNG or JPEG; replace or remove it"),
        ({"query": "mixed"}, "FOLDER/mixed/2.png: 9x9 pixels, FOLDER/mixed/1.png has 12x12; give side, which resizes"),
        ({"query": "small"}, "FOLDER/small: images of (9, 9, 3), FOLDER/unlabelled has (12, 12, 3); give --side, or o"),
        ({"query": "nowhere.npz"}, "FOLDER/nowhere.npz: no such file"),
        ({"query": "rows.npz"}, "FOLDER/rows.npz: array 'x': shape (3, 4); give images [image, row, column, channel]"),
        ({"support": "rows.npz"}, "FOLDER/rows.npz: no array 'y'; it holds 'x'"),
        ({"unlabelled": "large.npz", "query": "large.npz", "support": "large.npz"}, "FOLDER/large.npz: X holds pixels"),
        (
            {"query": "query", "side": 99},
            "side: 99 is larger than the 12 of FOLDER/labelled/crosses/0-crosses.png; give at most 12",
        ),
        ({"embedding": "pca"}, "embedding == 'pca', must be one of raw, blurred, acai"),
        ({"unlabelled": None, "learner": "FOLDER/none.safetensors"}, "FOLDER/none.safetensors: missing; save a fitted"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_and_leaves_nothing(folder: Path, options: dict[str, Any], message: str):
    (folder / "empty").mkdir()
    for place, side in (("mixed/1.png", 12), ("mixed/2.png", 9), ("small/1.png", 9), ("lacking/a/1.png", 12)):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side)).save(folder / place)
    (folder / "lacking/none").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken/1.png").write_bytes(b"no image")
    np.savez(folder / "rows.npz", x=np.zeros((3, 4)))
    np.savez(folder / "large.npz", x=np.full((3, 4, 4), 255.0), y=["a", "a", "b"])
    paths = {"unlabelled", "support", "query", "output", "save"}
    given = {key: folder / value if key in paths and value else value for key, value in options.items()}
    if "learner" in given:
        given["learner"] = given["learner"].replace("FOLDER", str(folder))
    assert refused(told, folder, **given).replace(str(folder), "FOLDER").startswith(message)
    assert not {"out.csv", "out.txt", "mine.pkl"} & {path.name for path in folder.iterdir()}


def test_the_command_says_nothing_and_writes_a_table(folder: Path) -> None:
    command = ["few-shot", "unlabelled", "--support", "labelled", "--query", "query", "--output", "out.csv"]
    command += ["--method", "nearest-neighbours", "--embedding", "raw"]
    program = [sys.executable, "-c", "from metaplastic.cli import main; main()", *command]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "out.csv").read_text().startswith('"file","class","probability"\n"2-crosses.png","crosses",0.99')


def test_the_command_ends_with_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["few-shot", "unlabelled", "--support", "labelled", "--query", "none", "--output", "out.csv"]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["metaplastic", *command])
    assert refused(main, error=SystemExit) == "error: none: no such folder"
