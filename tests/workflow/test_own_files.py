"""What a user's own files hold decides what is made anew, whatever their times and names."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from checkout import Checkout
from PIL import Image
from plans import plan_of
from refusals import refused

from workflow.fingerprint import READ, of_files
from workflow.folders import own_files

ONE, OTHER = "a,y\n1,u\n2,u\n3,v\n4,v\n", "a,y\n5,u\n6,u\n7,v\n8,v\n"


def _moved_over(folder: Path) -> None:
    (folder / "other.csv").replace(folder / "mine.csv")


def _copied_over(folder: Path) -> None:
    shutil.copy2(folder / "other.csv", folder / "mine.csv")


def _linked(folder: Path) -> None:
    (folder / "mine.csv").unlink()
    (folder / "mine.csv").symlink_to("other.csv")


def _datasets(checkout: Checkout, results: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """Return what asks Snakemake for one dataset of each file, all in one run."""
    datasets = {f"mine-{number}": {"source": "file", "path": str(file)} for number, file in enumerate(files)}
    overlay = checkout.overlay(json.dumps({"results": str(results), "datasets": datasets}, ensure_ascii=False))
    return (*(f"{results}/datasets/{name}.zarr" for name in datasets), "--configfile", overlay)


def test_a_file_that_an_older_one_replaces_is_read_anew(checkout: Checkout, tmp_path: Path):
    ways: list[Callable[[Path], None]] = [_moved_over, _copied_over, _linked]
    folders = [tmp_path / way.__name__ for way in ways]
    for folder in folders:
        folder.mkdir()
        for name, text in (("mine.csv", ONE), ("other.csv", OTHER)):
            (folder / name).write_text(text)
        os.utime(folder / "other.csv", (10**9, 10**9))
    stores = _datasets(checkout, tmp_path / "results", [folder / "mine.csv" for folder in folders])
    checkout.snakemake(*stores)
    for folder in folders:
        os.utime(folder / "mine.csv")
    assert checkout.jobs(*stores) == {}
    for way, folder in zip(ways, folders, strict=True):
        way(folder)
    assert checkout.jobs(*stores) == {"prepare_dataset": len(ways)}


def test_a_path_is_taken_as_it_stands(checkout: Checkout, tmp_path: Path):
    names = ["br{x} a<b> ä%s.csv", "a{dataset}.csv", "{{}} b'\"$(x)*.csv"]
    files = [tmp_path / name for name in names]
    for file in files:
        file.write_text(ONE)
    # What the braces of the second one would stand for.
    (tmp_path / "amine-1.csv").write_text("b,y\n")
    stores = _datasets(checkout, tmp_path / "results", files)
    checkout.snakemake(*stores)
    assert checkout.jobs(*stores) == {}
    for file in files:
        file.write_text(OTHER)
        os.utime(file, (10**9, 10**9))
    assert checkout.jobs(*stores) == {"prepare_dataset": len(names)}


def test_names_of_classes_and_pictures_are_taken_as_they_stand_and_edits_are_seen(checkout: Checkout, tmp_path: Path):
    pictures = [
        tmp_path / "mine" / place / "<1>{x}.png" for place in ("train/{a}", "train/b", "test/{dataset}", "test/d")
    ]
    for shade, picture in enumerate(pictures):
        picture.parent.mkdir(parents=True)
        Image.new("RGB", (9, 9), (shade, 0, 0)).save(picture)
    overlay = checkout.overlay(
        f"{{results: {tmp_path}/results, datasets: {{mine: {{source: folder, path: {tmp_path}/mine}}}}}}"
    )
    store = (f"{tmp_path}/results/datasets/mine.zarr", "--configfile", overlay)
    checkout.snakemake(*store)
    assert checkout.jobs(*store) == {}
    Image.new("RGB", (9, 9), (99, 0, 0)).save(pictures[0])
    os.utime(pictures[0], (10**9, 10**9))
    assert checkout.jobs(*store) == {"prepare_dataset": 1}


def test_what_a_large_file_holds_is_known_by_its_size_time_and_inode(tmp_path: Path):
    def held(path: Path) -> str:
        of_files.__globals__["_of_file"].cache_clear()
        return of_files([path])

    large = tmp_path / "large.npz"
    for file in (large, tmp_path / "other.npz"):
        with file.open("wb") as stream:
            stream.truncate(READ + 1)
        os.utime(file, (10**9, 10**9))
    before = held(large)
    assert before == held(large)
    (tmp_path / "other.npz").replace(large)
    replaced = held(large)
    os.utime(large)
    assert len({before, replaced, held(large)}) == 3


def test_a_folder_is_known_by_all_its_files_but_hidden_ones(tmp_path: Path):
    def held() -> str:
        of_files.__globals__["_of_file"].cache_clear()
        return of_files([tmp_path / "mine"])

    picture = tmp_path / "mine/test/dog.png"
    picture.parent.mkdir(parents=True)
    before = held()
    (tmp_path / "mine/.hidden").write_text("a")
    assert held() == before
    picture.write_bytes(b"a")
    assert held() != before


@pytest.mark.parametrize(
    ("path", "source", "what"),
    [
        ("none.csv", "file", "no such file"),
        ("folder.csv", "file", "is a folder"),
        ("pipe.csv", "file", "is a pipe or device, which no job can read twice"),
        ("none", "folder", "no such folder"),
    ],
)
def test_a_file_that_no_job_could_read_is_refused(tmp_path: Path, path: str, source: str, what: str):
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    plan = plan_of(f"datasets: {{mine: {{source: {source}, path: {tmp_path / path}}}}}")
    assert refused(own_files, plan.config, "mine") == f"datasets.mine.path: {tmp_path / path}: {what}"


def test_a_file_that_is_missing_is_said_before_any_job_where_it_is_asked_for(checkout: Checkout, tmp_path: Path):
    overlay = checkout.overlay(f"results: {tmp_path}/results\ndatasets: {{mine: {{source: file, path: none.csv}}}}")
    stores = [f"{tmp_path}/results/datasets/{name}.zarr" for name in ("digits", "mine")]
    checkout.jobs(stores[0], "--configfile", overlay)
    done = checkout.snakemake(*stores, "--configfile", overlay, fails=True)
    assert done.stderr.splitlines()[-1] == "error: datasets.mine.path: none.csv: no such file"
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "results/datasets").exists()
