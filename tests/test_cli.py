"""The command `metaplastic`."""

import gzip
import io
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from metaplastic import cli
from metaplastic.datasets.user import file, tables
from metaplastic.estimator import LearnedRule
from metaplastic.io.errors import InputError
from metaplastic.update_rules.spec import Compact
from metaplastic.update_rules.theta import initial_rule, save_theta, trained_rule
from pyarrow import csv, parquet
from refusals import refused

ROOT = Path(__file__).parents[1]
SMALL = {"hidden": [4], "features": 3, "inner_steps": 2, "batch": 8}
RUN = """
datasets: {digits: {source: digits}}
meta_train:
  toy:
    rule: {kind: polynomial}
    base_models: [{hidden: [], features: 4}]
    tasks: {side: 4, classes: 3, sources: {digits: {kind: images, dataset: digits}}}
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
            "FOLDER/in.csv/out.csv: FOLDER/in.csv is not a folder; give another, or move it away",
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
            "FOLDER/in.csv: column 'b': 1 values missing or NaN; fill them or drop their examples, "
            "or give --missing mean",
        ),
        (
            "a,b\n1,2\n",
            "out.csv",
            None,
            "FOLDER/in.csv: Found array with 1 sample(s) (shape=(1, 2)) while a minimum of 2 is required by "
            "LearnedRule.",
        ),
        (
            "0.7,0.2\n1,2\n3,4\n",
            "out.csv",
            None,
            "FOLDER/in.csv: the first row holds numbers and no names of columns; write names above it, or in their "
            "place if they are names",
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
    said = refused(cli.features, tmp_path / "in.csv", tmp_path / output, rule=theta, label=label, **SMALL)
    assert said.replace(str(tmp_path), "FOLDER") == message
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    assert (tmp_path / "in.csv").read_text() == text


@pytest.mark.parametrize("value", ["-1", "4294967296"])
@pytest.mark.parametrize("option", ["features", "inner-steps", "batch", "hidden", "seed"])
def test_an_option_that_cannot_be_is_told_as_that_and_not_as_the_table_s(
    option: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n3,4\n")
    table, output = str(tmp_path / "in.csv"), str(tmp_path / "out.csv")
    monkeypatch.setattr("sys.argv", ["metaplastic", "features", table, output, f"--{option}={value}"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert f"--{option}" in told
    assert ("less" if int(value) > 0 else "greater") + " than or equal to" in told
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


TABLE = "a;b;y\n" + "".join(f"{index},5;{index % 3};00{index % 2}\n" for index in range(20))


def written(tmp_path: Path, theta: str, *, output: str = "out.csv", **keys: Any) -> pa.Table:
    """What comes of the table, or of what else is there."""
    given = {"table": tmp_path / "in.csv", "rule": theta, "label": ["y"], **SMALL, **keys}
    cli.features(output=tmp_path / output, **given)
    read = parquet.read_table if output.lower().endswith(".parquet") else csv.read_csv
    return read(tmp_path / output)


def test_tables_come_in_any_dialect_from_files_and_pipes(theta: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "in.csv").write_text(TABLE.replace(",", ".").replace(";", ","))
    expected = written(tmp_path, theta)
    for name, content, keys in (
        ("IN.CSV", TABLE.encode(), {}),
        ("in.tsv", TABLE.replace(";", "\t").encode(), {}),
        ("in.csv.gz", gzip.compress(TABLE.encode("utf-16"), mtime=0), {}),
        ("in.csv", TABLE.encode("utf-16-le"), {"separator": ";", "decimal": ",", "encoding": "utf-16-le"}),
    ):
        (tmp_path / name).write_bytes(content)
        assert written(tmp_path, theta, table=tmp_path / name, **keys).equals(expected)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TABLE.encode()))))
    assert written(tmp_path, theta, table=Path("-")).equals(expected)
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        pool.submit((tmp_path / "pipe").write_text, TABLE)
        assert written(tmp_path, theta, table=tmp_path / "pipe").equals(expected)


def test_labels_are_kept_as_they_are(theta: str, tmp_path: Path) -> None:
    columns = {"n": ["1", "-2", ""], "f": ["0.50", "2", "1e3"], "z": ["007", "1", "2"], "t": ["u", "", "v"]}
    cells = [",".join(column[index % 3] for column in columns.values()) for index in range(12)]
    rows = ["a,b,n,f,z,t,big", *(f"{index},{index**2},{cell},{10**18 + index}" for index, cell in enumerate(cells))]
    (tmp_path / "in.csv").write_text("\n".join(rows))
    labels = [*columns, "big"]
    found = written(tmp_path, theta, output="out.Parquet", label=labels)
    assert [str(found.schema.field(name).type) for name in labels] == ["int64", "double", "string", "string", "int64"]
    assert found["n"].to_pylist()[:3] == [1, -2, None]
    assert found["z"].to_pylist()[:3] == columns["z"]
    written(tmp_path, theta, label=labels)
    (tmp_path / "in.csv").write_text((tmp_path / "out.csv").read_text())
    assert written(tmp_path, theta, output="again.parquet", label=labels).select(labels).equals(found.select(labels))


def test_the_mean_stands_for_missing_numbers_where_that_is_asked_for_also_after_loading(
    theta: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["", "?", "NA", "NaN", "None", "-"]
    rows = [f"{index},{words[index] if index < 6 else index},{words[0]}" for index in range(20)]
    (tmp_path / "in.csv").write_text("\n".join(["a,b,y", *rows]))
    x = np.array([[index, np.nan if index < 6 else index] for index in range(20)])
    model = LearnedRule(theta, missing="mean", **SMALL).fit(x)
    saved = tmp_path / "rule.safetensors"
    found = written(tmp_path, theta, missing="mean", save=saved)
    np.testing.assert_allclose(found.drop_columns("y").to_pandas(), model.transform(x), rtol=1e-5, atol=1e-6)
    assert written(tmp_path, theta, load=saved).equals(found)
    (tmp_path / "in.csv").write_text("a,b,y\n1,,0\n1e999,2,1\n")
    with pytest.raises(InputError, match=r"'a': 1 values infinite; drop their examples$"):
        written(tmp_path, theta, missing="mean")
    pd.DataFrame(x, columns=["a", "b"]).assign(y=0).to_parquet(tmp_path / "in.parquet")
    monkeypatch.setattr(file, "VALUES", 9)
    batches = written(tmp_path, theta, table=tmp_path / "in.parquet", missing="mean", output="out.parquet")
    np.testing.assert_allclose(batches.drop_columns("y").to_pandas(), model.transform(x), rtol=1e-5, atol=1e-6)


def test_types_of_a_parquet_and_its_index_are_kept(theta: str, tmp_path: Path) -> None:
    kinds = pd.Categorical(list("uvw") * 3)
    frame = pd.DataFrame({"a": range(9), "b": range(9), "sample": [f"s{i}" for i in range(9)], "kind": kinds})
    frame["digits"], labels = frame["a"].astype(str), ["sample", "kind", "digits"]
    frame.set_index("sample").to_parquet(tmp_path / "in.parquet")
    given = parquet.read_table(tmp_path / "in.parquet")
    found = written(tmp_path, theta, output="out.parquet", table=tmp_path / "in.parquet", label=labels)
    for name in labels:
        assert found[name].equals(given[name])
        assert found.schema.field(name).type == given.schema.field(name).type
    assert "a" not in found.column_names


def test_what_an_output_cannot_hold_is_said_before_learning(
    theta: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LearnedRule, "fit", lambda *_: pytest.fail("learned"))
    parquet.write_table(pa.table({"a": [1, 2], "y": [[1], [2]]}), tmp_path / "in.parquet")
    with pytest.raises(InputError, match=r"out\.csv: cannot be written \(Unsupported Type.*\); name a \.parquet$"):
        written(tmp_path, theta, table=tmp_path / "in.parquet")
    assert not (tmp_path / "out.csv").exists()


def test_a_link_to_write_to_stays_one(theta: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(TABLE)
    (tmp_path / "there").mkdir()
    for target in ("old.csv", "new.csv"):
        (tmp_path / "there/old.csv").touch()
        (tmp_path / "out.csv").unlink(missing_ok=True)
        (tmp_path / "out.csv").symlink_to(f"there/{target}")
        written(tmp_path, theta)
        assert (tmp_path / "out.csv").is_symlink()
        assert (tmp_path / "there" / target).stat().st_size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": "tab"}, "options: separator: has to be one character, such as ; or a tab"),
        ({"decimal": ";"}, "options: decimal: Input should be '.' or ','"),
        ({"encoding": "utf-9"}, "options: encoding: no encoding that is known; give one such as latin-1 or utf-16-le"),
    ],
)
def test_a_dialect_that_cannot_be_is_told(options: dict[str, str], message: str, theta: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(TABLE)
    assert refused(written, tmp_path, theta, **options) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "a folder; name another file"),
        (os.mkfifo, "a pipe or device; name another file"),
        (lambda path: path.symlink_to(path), "a link that leads to itself; name another file"),
        (lambda path: path.symlink_to("in.csv"), "the table itself; name another file"),
        (lambda path: path.symlink_to("in.csv/x.csv"), "FOLDER/in.csv is not a folder; give another, or move it away"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_told_before_learning(
    make: Callable[[Path], object], message: str, theta: str, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(TABLE)
    make(tmp_path / "out.csv")
    assert refused(written, tmp_path, theta).replace(str(tmp_path), "FOLDER") == f"FOLDER/out.csv: {message}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"hidden": [10**6, 10**6]},
            "hidden, features: weights between these layers take 7,451 GiB, more than the 64 GiB allowed; give "
            "narrower ones",
        ),
        ({"save": Path("rule.txt")}, "rule.txt: no .safetensors; name one"),
        ({"load": Path("rule.safetensors")}, "rule.safetensors: missing; save a fitted LearnedRule to it first"),
    ],
)
def test_what_is_wrong_with_an_option_is_told_before_the_table_is_read(
    options: dict[str, Any], message: str, theta: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n3,4\n")
    monkeypatch.setattr(cli, "read_numbers", lambda *_, **__: pytest.fail("read"))
    options = {"rule": theta} | SMALL | options
    assert refused(cli.features, tmp_path / "in.csv", tmp_path / "out.csv", **options) == message


def test_what_was_learned_is_saved_and_loaded_for_another_table_whose_columns_are_found_by_name(
    theta: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    parquet.write_table(pa.table(dict(zip("abc", x.T, strict=True))), tmp_path / "in.parquet")
    saved = tmp_path / "rule.safetensors"
    cli.features(tmp_path / "in.parquet", tmp_path / "out.parquet", rule=theta, save=saved, **SMALL)
    expected = parquet.read_table(tmp_path / "out.parquet")
    capsys.readouterr()
    other = pa.table({"c": x[:5, 2], "kind": ["x"] * 5, "more": x[:5, 0], "a": x[:5, 0], "b": x[:5, 1]})
    parquet.write_table(other, tmp_path / "other.parquet")
    cli.features(tmp_path / "other.parquet", tmp_path / "again.parquet", load=saved, label=["kind"])
    assert capsys.readouterr().out == "", "nothing is learned"
    found = parquet.read_table(tmp_path / "again.parquet")
    assert found["kind"].to_pylist() == ["x"] * 5
    for name in expected.column_names:
        np.testing.assert_allclose(found[name], expected[name][:5], rtol=1e-5, atol=1e-6)
    parquet.write_table(other.drop_columns("b"), tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"other\.parquet: no column 'b'; it holds 'c', "):
        cli.features(tmp_path / "other.parquet", tmp_path / "again.parquet", load=saved, label=["kind"])


def test_a_table_larger_than_memory_gives_what_it_gives_in_memory(
    theta: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(size=(1000, 3))
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "kind": [f"{row}" for row in range(1000)]})
    parquet.write_table(table, tmp_path / "in.parquet", row_group_size=300)
    outputs = [tmp_path / "whole.parquet", tmp_path / "batches.parquet"]
    cli.features(tmp_path / "in.parquet", outputs[0], rule=theta, label=["kind"], **SMALL)
    monkeypatch.setattr(file, "VALUES", 999)
    monkeypatch.setattr(tables, "BLOCK", 2000)
    assert file.is_large(tmp_path / "in.parquet")
    cli.features(tmp_path / "in.parquet", outputs[1], rule=theta, label=["kind"], **SMALL)
    whole, batches = map(parquet.read_table, outputs)
    assert batches["kind"].to_pylist() == table["kind"].to_pylist()
    for name in whole.column_names[:3]:
        np.testing.assert_allclose(batches[name], whole[name], rtol=1e-5, atol=1e-6)


def test_values_that_no_csv_holds_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"out\.csv: cannot be written \(.*\); name a \.parquet$"):
        cli.write_tables([pa.table({"a": [[1], [2]]})], tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


def test_training_leaves_a_theta_that_the_next_call_finds_finished(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "mine.yaml").write_text(RUN)
    cli.train(tmp_path / "mine.yaml", tmp_path / "mine.safetensors", seed=3)
    spec, _ = trained_rule(tmp_path / "mine.safetensors")
    assert spec.kind == "polynomial"
    content = (tmp_path / "mine.safetensors").read_bytes()
    (tmp_path / "mine.safetensors").unlink()
    capfd.readouterr()
    states = {path: path.stat().st_mtime_ns for path in (tmp_path / "mine.run/state").rglob("*.safetensors")}
    assert states
    (tmp_path / "mine.safetensors").symlink_to("theta.safetensors")
    cli.train(tmp_path / "mine.yaml", tmp_path / "mine.safetensors", seed=3)
    assert (tmp_path / "mine.safetensors").is_symlink()
    assert (tmp_path / "theta.safetensors").read_bytes() == content
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
        (RUN + "    averag: 1\n", {}, "config: unknown key 'meta_train.toy.averag'; did you mean 'average'?"),
    ],
)
def test_a_config_that_cannot_be_taken_is_told_in_one_line(
    text: str, arguments: dict[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    said = refused(cli.train, tmp_path / "mine.yaml", tmp_path / "mine.safetensors", **arguments)
    assert said.replace(str(tmp_path), "FOLDER") == message
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_config_that_cannot_be_read_twice_is_told_in_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.yaml")
    with pytest.raises(InputError, match=r"mine\.yaml: a pipe or device; give a file, which can be read twice$"):
        cli.train(tmp_path / "mine.yaml", tmp_path / "mine.safetensors")
