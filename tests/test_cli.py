"""The command `metaplastic`."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from metaplastic import cli
from metaplastic.estimator import LearnedRule
from metaplastic.io.errors import InputError
from metaplastic.update_rules.spec import Compact
from metaplastic.update_rules.theta import initial_rule, save_theta, trained_rule
from pyarrow import parquet

ROOT = Path(__file__).parents[1]
SMALL = {"hidden": [4], "features": 3, "inner_steps": 2, "batch": 8}
RUN = """
datasets: {letters: {source: letters, side: 12}}
meta_train:
  toy:
    rule: {kind: compact, channels: 2, error_channels: 1, readout_channels: 1}
    base_models: [{hidden: [4], features: 4}]
    tasks: {side: 6, classes: 3, sources: {letters: {kind: images, dataset: letters}}}
    parallel_tasks: 2
    batch: 6
    labelled: 3
    unroll: {truncation: 2, shortest: 2, longest: 4}
    meta_steps: 2
    seeds: 5
    held_out: {every: 2, inner_steps: 2, tasks: 2}
"""


@pytest.fixture(scope="module")
def theta(tmp_path_factory: pytest.TempPathFactory) -> str:
    spec = Compact(kind="compact", channels=2, error_channels=1, readout_channels=1)
    file = tmp_path_factory.mktemp("theta") / "tiny.safetensors"
    save_theta(initial_rule(spec), file, spec=spec.model_dump())
    return str(file)


def test_features_are_those_of_the_transformer_and_labels_stay(theta: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    table = pa.table({"a": x[:, 0], "kind": [1, 2] * 10, "b": x[:, 1], "c": x[:, 2]})
    parquet.write_table(table, tmp_path / "in.parquet")
    cli.features(tmp_path / "in.parquet", tmp_path / "out.parquet", rule=theta, seed=3, label=["kind"], **SMALL)
    found = parquet.read_table(tmp_path / "out.parquet")
    assert found["kind"].equals(table["kind"])
    expected = LearnedRule(theta, random_state=3, **SMALL).fit_transform(x)
    assert np.array_equal(found.drop_columns("kind").to_pandas().values, expected)


@pytest.mark.parametrize(
    ("text", "output", "label", "message"),
    [
        ("a,b\n1,2\n3,4\n", "out.txt", None, "FOLDER/out.txt: no .csv or .parquet; name one"),
        ("a,b\n1,2\n3,4\n", "in.csv", None, "FOLDER/in.csv: the table itself; name another file"),
        (
            "a,b\n1,2\n3,4\n",
            "in.csv/out.csv",
            None,
            "FOLDER/in.csv/out.csv: FOLDER/in.csv is no folder; give another, or move it away",
        ),
        ("a,b\n1,2\n3,4\n", "out.csv", ["c"], "FOLDER/in.csv: no column 'c'; it holds 'a', 'b'"),
        (
            "a,b\n1,x\n3,y\n",
            "out.csv",
            None,
            "FOLDER/in.csv: column 'b': not numeric but of type string, as in 'x' in row 1; drop it, or keep it by "
            "--label",
        ),
        (
            "a,b\n1,\n3,4\n",
            "out.csv",
            None,
            "FOLDER/in.csv: column 'b': 1 values missing, NaN or infinite; fill them or drop their examples",
        ),
        (
            "a,b\n1,2\n",
            "out.csv",
            None,
            "FOLDER/in.csv: Found array with 1 sample(s) (shape=(1, 2)) while a minimum of 2 is required by "
            "LearnedRule.",
        ),
        (
            "a,b,learnedrule1\n1,2,x\n3,4,y\n",
            "out.csv",
            ["learnedrule1"],
            "FOLDER/in.csv: column 'learnedrule1' is named as a feature is; rename it",
        ),
    ],
)
def test_a_table_that_cannot_be_taken_is_told_in_one_line(
    text: str, output: str, label: list[str] | None, message: str, theta: str, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(InputError) as error:
        cli.features(tmp_path / "in.csv", tmp_path / output, rule=theta, label=label, **SMALL)
    assert str(error.value).replace(str(tmp_path), "FOLDER") == message
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    assert (tmp_path / "in.csv").read_text() == text


@pytest.mark.parametrize("option", ["features", "inner-steps", "batch", "hidden", "seed"])
def test_an_option_that_cannot_be_is_told_as_that_and_not_as_the_table_s(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n3,4\n")
    table, output = str(tmp_path / "in.csv"), str(tmp_path / "out.csv")
    monkeypatch.setattr("sys.argv", ["metaplastic", "features", table, output, f"--{option}=-1"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert f"--{option}" in told
    assert "greater than or equal to" in told
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_values_that_no_csv_holds_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"out\.csv: cannot be written \(.*\); name a \.parquet$"):
        cli.write_table(pa.table({"a": [[1], [2]]}), tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


def test_training_leaves_a_theta_that_the_next_call_finds_finished(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(RUN)
    cli.train(tmp_path / "mine.yaml", tmp_path / "mine.safetensors", seed=3)
    spec, _ = trained_rule(tmp_path / "mine.safetensors")
    assert spec.channels == 2
    content = (tmp_path / "mine.safetensors").read_bytes()
    (tmp_path / "mine.safetensors").unlink()
    capfd.readouterr()
    states = {path: path.stat().st_mtime_ns for path in (tmp_path / "mine.run/state").rglob("*.safetensors")}
    assert states
    cli.train(tmp_path / "mine.yaml", tmp_path / "mine.safetensors", seed=3)
    assert (tmp_path / "mine.safetensors").read_bytes() == content
    assert states == {path: path.stat().st_mtime_ns for path in (tmp_path / "mine.run/state").rglob("*.safetensors")}


@pytest.mark.slow
def test_training_in_two_processes_ends_with_the_bytes_of_one_of_two_devices(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from metaplastic.cli import main; main()", "train", "mine.yaml", "--output"]
    for name, processes, devices in (("one", 1, 2), ("two", 2, 1)):
        (tmp_path / "mine.yaml").write_text(f"{RUN}    processes: {processes}\n")
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "rules_src"), "JAX_NUM_CPU_DEVICES": str(devices)}
        subprocess.run([*command, f"{name}.safetensors"], cwd=tmp_path, env=environment, check=True)
    one, two = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("meta_train: {}", {}, "FOLDER/mine.yaml: no `datasets` or no `meta_train`; give both"),
        (RUN, {"run": "other"}, "FOLDER/mine.yaml: no run 'other' in meta_train; take one of: toy"),
        (RUN + "  more: {}\n", {}, "config: missing key 'meta_train.more.rule' (and 2 more)"),
        (
            RUN + "    averag: 1\n",
            {},
            "config: unknown key 'meta_train.toy.averag'; did you mean 'average'?",
        ),
    ],
)
def test_a_config_that_cannot_be_taken_is_told_in_one_line(
    text: str, arguments: dict[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        cli.train(tmp_path / "mine.yaml", tmp_path / "mine.safetensors", **arguments)
    assert str(error.value).replace(str(tmp_path), "FOLDER") == message
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
