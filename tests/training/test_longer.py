"""A training that is asked for more steps goes on where it ended, to what it would be if never stopped."""

from pathlib import Path

import numpy as np
from known import known
from metaplastic.config.load import load
from metaplastic.config.study import learner_folder
from metaplastic.few_shot.partitions import partitions
from metaplastic.few_shot.rounds import finish
from metaplastic.few_shot.spec import ProtoNets, Shape
from metaplastic.stages.trainings import folder_of_descent
from metaplastic.training.checkpoint import read_history
from metaplastic.training.loop import HISTORY, SNAPSHOTS
from toy_images import PARTITION, images


def trained(state: Path, *steps: int, rounds: int = 1) -> Path:
    """Train on toy images; return the folder of the last round."""
    data, shape = images(), Shape(way=3, shots=1, queries=2)
    spec = ProtoNets(kind="protonets", tasks=shape, steps=list(steps), every=10, filters=4, rounds=rounds)
    folder = folder_of_descent(state, spec, code="code", data=["data"])
    clusters = np.stack(list(partitions(PARTITION, data.train, features=data.inputs)))
    return finish(spec, data, PARTITION, clusters, folder)[-1].path


def recorded(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / SNAPSHOTS).iterdir()}


def test_more_steps_go_on_to_what_they_would_be_at_once(tmp_path: Path) -> None:
    trained(tmp_path / "state", 10, rounds=2)
    first = next((tmp_path / "state").glob("*/snapshots/step-000010.safetensors"))
    before = first.stat().st_mtime_ns
    longer = trained(tmp_path / "state", 10, 30, rounds=2)
    assert first.stat().st_mtime_ns == before
    at_once = trained(tmp_path / "other", 10, 30, rounds=2)
    assert read_history(longer / HISTORY).identical(read_history(at_once / HISTORY))
    names = ["step-000010.safetensors", "step-000030.safetensors"]
    assert sorted(recorded(longer)) == sorted(recorded(at_once)) == names
    assert recorded(longer)[names[1]] == recorded(at_once)[names[1]]


def test_what_has_recorded_other_steps_stays_and_the_training_begins_anew(tmp_path: Path) -> None:
    past = trained(tmp_path, 10, 30)
    files = {path: path.stat().st_mtime_ns for path in past.rglob("*.safetensors")}
    for number, steps in enumerate([(20, 30), (10, 20, 30), (10,)], start=2):
        new = trained(tmp_path, *steps)
        assert new == past.with_name(f"{past.name}-{number}")
        assert sorted(recorded(new)) == [f"step-{step:06d}.safetensors" for step in steps]
    assert files == {path: path.stat().st_mtime_ns for path in past.rglob("*.safetensors")}
    assert trained(tmp_path, 10, 30) == past


def test_the_folder_of_a_learner_does_not_depend_on_its_steps() -> None:
    config = known()
    name = next(name for name, learner in config["learners"].items() if learner["kind"] == "protonets")
    folders = []
    for key, value in (("steps", [10]), ("steps", [10, 20]), ("filters", 3)):
        config["learners"][name] = {"kind": "protonets", "every": 10, key: value}
        folders.append(learner_folder(load(config), name))
    assert folders[0] == folders[1] != folders[2]
