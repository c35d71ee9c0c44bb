"""One set of examples in each of the three formats, then everything that is refused."""

import gzip
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import refusals
from metaplastic.datasets.arrays import load_inputs
from metaplastic.datasets.fetch import Fetch, sha256
from metaplastic.datasets.spec import File
from metaplastic.datasets.user import file, labels, tables
from metaplastic.io.errors import InputError
from pyarrow import csv, parquet

UNUSED = Fetch(Path("unused"))
FORMATS = ["npz", "csv", "parquet"]
RNG = np.random.default_rng(0)
X = RNG.normal([1e6, -2, 0], [1000, 1, 0.001], (30, 3)).round(6)
Y = np.array(["ruby", "jade", "ruby"] * 10)
PARTS = np.array(["train", "train", "test", "train", "test"] * 6)


def write(path: Path, columns: dict[str, Any]) -> Path:
    """Columns as they are; as a `.npz` those that are no label or split become `x`."""
    if path.suffix == ".npz":
        others = {name: columns[name] for name in ("y", "part") if name in columns}
        np.savez(path, x=np.stack([value for name, value in columns.items() if name not in others], 1), **others)
    elif path.suffix == ".csv":
        csv.write_csv(pa.table(columns), path)
    else:
        parquet.write_table(pa.table(columns), path)
    return path


def gems(**more: Any) -> dict[str, Any]:
    return {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": Y} | more


def prepare(path: Path | str, **keys: Any):
    return file.prepare(File.model_validate({"source": "file", "path": str(path), **keys}), UNUSED)


def refused(path: Path, **keys: Any) -> str:
    """What the error says after the name of the file."""
    message = refusals.refused(prepare, path, **keys)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "gems.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_format_gives_the_same_dataset(tmp_path, suffix):
    path = write(tmp_path / f"gems.{suffix}", gems())
    dataset = prepare(path, standardise=False)
    assert dataset.feature.dims == ("example", "column")
    assert dataset.feature.dtype == np.float32
    np.testing.assert_array_equal(dataset.feature, X.astype(np.float32))
    assert dataset.class_names == ["jade", "ruby"]
    np.testing.assert_array_equal(dataset.label, Y == "ruby")
    assert [int((dataset.label[dataset.split == 1] == label).sum()) for label in (0, 1)] == [4, 8]
    assert (dataset.modality, dataset.n_train, dataset.n_test) == ("table", 18, 12)
    assert dataset.columns == ([] if suffix == "npz" else ["a", "b", "c"])
    assert dataset.checksum == [f"{sha256(path.read_bytes())}  gems.{suffix}"]
    np.testing.assert_array_equal(load_inputs(dataset).inputs, dataset.feature)


@pytest.mark.parametrize("suffix", FORMATS)
def test_features_are_standardised_by_the_training_split(tmp_path, suffix):
    dataset = prepare(write(tmp_path / f"gems.{suffix}", gems(part=PARTS)), split="part")
    train = PARTS == "train"
    np.testing.assert_array_equal(dataset.split, ~train)
    np.testing.assert_allclose(dataset.feature, (X - X[train].mean(0)) / X[train].std(0), rtol=1e-4, atol=1e-6)
    assert dataset.feature.values[train].mean(0) == pytest.approx(0, abs=1e-6)
    assert dataset.feature.values[train].std(0) == pytest.approx(1, rel=1e-6)


def test_a_feature_that_is_constant_in_training_is_only_centred(tmp_path):
    constant = np.where(PARTS == "train", 0.1, 0.6)
    dataset = prepare(write(tmp_path / "gems.csv", gems(part=PARTS, d=constant)), split="part")
    assert dataset.feature[:, 3].values == pytest.approx(constant - 0.1)


def test_the_same_file_and_seed_give_the_same_dataset(tmp_path):
    path = write(tmp_path / "gems.csv", gems())
    assert prepare(path).identical(prepare(path))
    other = prepare(path, split_seed=1, test_fraction=0.5)
    assert other.n_test == 15
    assert (other.split != prepare(path, test_fraction=0.5).split).any()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array([10, 9, 100] * 10), ["9", "10", "100"]),
        (np.array([-1, 3, 3] * 10, np.int8), ["-1", "3"]),
        (np.array(["b", "10", "a"] * 10), ["10", "a", "b"]),
        (np.array(["NA", "null", "é\n"] * 10), ["NA", "null", "é\n"]),
    ],
)
def test_labels_are_integers_or_text(tmp_path, suffix, labels, names):
    dataset = prepare(write(tmp_path / f"gems.{suffix}", gems(y=labels)))
    assert dataset.class_names == names
    assert [names[label] for label in dataset.label.values] == [str(label) for label in labels]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_split_of_numbers(tmp_path, suffix):
    dataset = prepare(write(tmp_path / f"gems.{suffix}", gems(part=(PARTS == "test").astype(int))), split="part")
    np.testing.assert_array_equal(dataset.split, PARTS == "test")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_listed_columns_come_in_the_order_of_the_list(tmp_path, suffix):
    path = write(tmp_path / f"gems.{suffix}", gems(note=np.array(["?"] * 30)))
    dataset = prepare(path, features=["c", "a"], standardise=False)
    assert dataset.columns == ["c", "a"]
    np.testing.assert_array_equal(dataset.feature, X[:, [2, 0]].astype(np.float32))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_integers_and_booleans_are_numbers(tmp_path, suffix):
    path = write(tmp_path / f"gems.{suffix}", {"a": np.arange(30), "b": np.arange(30) > 3, "y": Y})
    feature = prepare(path, standardise=False).feature.values
    np.testing.assert_array_equal(feature, np.stack([np.arange(30), np.arange(30) > 3], 1))


def test_a_spreadsheet_s_csv(tmp_path):
    text = "\ufeff" + "\r\n".join(["a,y,b", *(f'{i}.5,"x, {i % 2}",-1e{i}' for i in range(10)), "", ""])
    dataset = prepare(table(tmp_path, text), standardise=False)
    assert dataset.columns == ["a", "b"]
    assert dataset.class_names == ["x, 0", "x, 1"]
    assert dataset.feature.values[3].tolist() == [3.5, -1000]


def test_categories_and_the_index_of_pandas(tmp_path):
    columns = gems(y=pa.array(Y).dictionary_encode(), __index_level_0__=np.arange(30))
    stored = pa.table(columns).replace_schema_metadata({"pandas": '{"index_columns": ["__index_level_0__"]}'})
    parquet.write_table(stored, tmp_path / "gems.parquet", row_group_size=7)
    dataset = prepare(tmp_path / "gems.parquet")
    assert dataset.columns == ["a", "b", "c"]
    assert dataset.class_names == ["jade", "ruby"]
    np.testing.assert_array_equal(dataset.label, Y == "ruby")


@pytest.mark.parametrize("said", [b"{broken", b'{"index_columns": 5}', b"\xff", b"[]"])
def test_what_pandas_has_written_beside_the_data_may_be_damaged(tmp_path, said):
    parquet.write_table(pa.table(gems(y=Y)).replace_schema_metadata({b"pandas": said}), tmp_path / "gems.parquet")
    assert prepare(tmp_path / "gems.parquet").columns == ["a", "b", "c"]


@pytest.mark.parametrize("index", [pa.int8(), pa.uint8(), pa.int32()])
def test_categories_of_any_index_may_be_unused_or_missing(tmp_path, index):
    indices = np.array([2, 0, 2] * 10)
    labels = pa.DictionaryArray.from_arrays(pa.array(indices, index), ["jade", "opal", "ruby"])
    assert prepare(write(tmp_path / "gems.parquet", gems(y=labels))).class_names == ["jade", "ruby"]
    missing = pa.DictionaryArray.from_arrays(pa.array([None, *indices[1:]], index), ["jade", "opal", "ruby"])
    assert refused(write(tmp_path / "gems.parquet", gems(y=missing))).startswith("column 'y': 1 missing; ")


@pytest.mark.parametrize("shape", [(20, 6, 8), (20, 6, 8, 1), (20, 6, 8, 3)])
def test_uint8_arrays_of_three_or_four_axes_are_images(tmp_path, shape):
    images = RNG.integers(0, 256, shape, np.uint8)
    path = tmp_path / "gems.npz"
    np.savez(path, x=images, y=np.arange(20) % 2)
    dataset = prepare(path)
    assert (dataset.modality, dataset.image.shape) == ("image", (*shape[:3], shape[3] if shape[3:] else 1))
    np.testing.assert_array_equal(dataset.image.values.reshape(shape), images)
    small = prepare(path, side=2).image
    assert small.shape == (20, 2, 2, dataset.image.shape[3])
    assert small.values[0, 0, 0, 0] == pytest.approx(dataset.image.values[0, :3, :4, 0].mean(), abs=0.51)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(("axes", "layout"), [((0, 1, 2, 3), None), ((0, 3, 1, 2), "channels-first")])
def test_floats_in_0_to_1_and_channels_in_front_are_images_where_keys_say_so(tmp_path, dtype, axes, layout):
    images = RNG.integers(0, 256, (20, 6, 8, 3), np.uint8)
    keys = {"layout": layout} if layout else {"side": 6}
    expected = prepare(_saved(tmp_path, images), **keys | {"layout": None}).image.values
    for stored in (images, (images / 255).astype(dtype)):
        np.testing.assert_array_equal(prepare(_saved(tmp_path, stored.transpose(axes)), **keys).image, expected)
    opaque = np.concatenate([images, np.full((20, 6, 8, 1), 255, np.uint8)], 3)
    np.testing.assert_array_equal(prepare(_saved(tmp_path, opaque.transpose(axes)), **keys).image, expected)
    with pytest.raises(InputError, match=r"x': pixels of 0 to 2; give floats in 0 to 1, or uint8$"):
        prepare(_saved(tmp_path, (images > 9).astype(dtype) * 2), **keys)


def _saved(folder: Path, images: np.ndarray) -> Path:
    np.savez(folder / "gems.npz", x=images, y=np.arange(20) % 2)
    return folder / "gems.npz"


@pytest.mark.parametrize(
    "values", [np.arange(120, dtype=np.uint8).reshape(20, 6), np.arange(240, dtype=np.float16).reshape(20, 3, 4)]
)
def test_other_arrays_are_rows_of_features(tmp_path, values):
    np.savez(tmp_path / "gems.npz", rows=values, kind=np.arange(20) % 2)
    dataset = prepare(tmp_path / "gems.npz", features=["rows"], label="kind", standardise=False)
    np.testing.assert_array_equal(dataset.feature, values.reshape(20, -1))


def test_absent_files_and_folders_are_refused(tmp_path):
    assert refused(tmp_path / "none.csv").startswith("no such file")
    (tmp_path / "folder.csv").mkdir()
    assert refused(tmp_path / "folder.csv") == "a folder; give a file"


@pytest.mark.parametrize("suffix", FORMATS)
def test_empty_and_too_large_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"gems.{suffix}"
    path.touch()
    assert refused(path) == "empty; give a file with examples"
    os.truncate(path, file.LIMIT + 1)
    assert refused(path).startswith(f"{file.LIMIT + 1} bytes, more than the {file.LIMIT} that are read")


@pytest.mark.parametrize("suffix", FORMATS)
def test_absent_labels_features_and_splits_are_refused(tmp_path, suffix):
    path, what = write(tmp_path / f"gems.{suffix}", gems()), "array" if suffix == "npz" else "column"
    held = "'x', 'y'" if suffix == "npz" else "'a', 'b', 'c', 'y'"
    assert refused(path, label="kind") == f"no {what} 'kind'; it holds {held}"
    assert refused(path, features=["d"]).startswith(f"no {what} 'd'; ")
    assert refused(path, split="part").startswith(f"no {what} 'part'; ")


@pytest.mark.parametrize(
    ("suffix", "value"), [*((suffix, np.nan) for suffix in FORMATS), ("csv", np.inf), ("csv", -np.inf)]
)
def test_values_that_are_not_finite_are_counted(tmp_path, suffix, value):
    values = X[:, 1].copy()
    values[[3, 8]] = value
    where = "array 'x'" if suffix == "npz" else "column 'b'"
    message = refused(write(tmp_path / f"gems.{suffix}", gems(b=values)))
    assert message.startswith(f"{where}: 2 values {'missing or NaN' if np.isnan(value) else 'infinite'}; ")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", [pa.int64(), pa.float32(), pa.bool_(), pa.null()])
def test_missing_values_are_counted(tmp_path, suffix, kind):
    values = [None] * 30 if pa.types.is_null(kind) else [None, kind == pa.bool_() or 1] * 15
    message = refused(write(tmp_path / f"gems.{suffix}", gems(b=pa.array(values, kind))))
    assert message.startswith(f"column 'b': {values.count(None)} values missing or NaN; ")


@pytest.mark.parametrize("cell", ["", "NA", "nan", "NaN", "null", "None", "?", "-"])
def test_cells_of_a_csv_that_say_nothing_are_missing_values(tmp_path, cell):
    text = "a,b,y\n" + "1,2,u\n" * 5 + f"{cell},2,v\n" * 5
    assert refused(table(tmp_path, text)).startswith("column 'a': 5 values missing or NaN; ")


@pytest.mark.parametrize("suffix", FORMATS)
def test_missing_labels_and_splits_are_counted(tmp_path, suffix):
    what = "array" if suffix == "npz" else "column"
    path = write(tmp_path / f"gems.{suffix}", gems(y=np.where(Y == "ruby", "", Y)))
    assert refused(path) == f"{what} 'y': 20 missing; fill them or drop their examples"
    path = write(tmp_path / f"gems.{suffix}", gems(part=np.where(PARTS == "test", "", PARTS)))
    assert refused(path, split="part").startswith(f"{what} 'part': 12 missing; ")


@pytest.mark.parametrize(
    ("column", "kind", "example", "row"),
    [
        (["1", "2", "many"], "string", "'many'", 5),
        (["1", "2", "1_0"], "string", "'1_0'", 5),
        (["2020-01-01"] * 3, "date32[day]", "datetime.date(2020, 1, 1)", 1),
    ],
)
def test_columns_that_are_not_numeric_are_refused(tmp_path, column, kind, example, row):
    text = "a,b,y\n" + "".join(f"1,{cell},u\n1,{cell},v\n" for cell in column)
    message = f"column 'b': not numeric but of type {kind}, as in {example} in row {row}; drop it, or list"
    assert refused(table(tmp_path, text)).startswith(message)


def test_texts_and_lists_in_a_parquet_are_not_numeric(tmp_path):
    path = write(tmp_path / "gems.parquet", gems(b=Y))
    assert refused(path).startswith("column 'b': not numeric but of type string, as in 'ruby' in row 1; ")
    path = write(tmp_path / "gems.parquet", gems(b=[None, *map(str, range(29))]))
    message = "column 'b': not numeric but of type string, as in '0' in row 2; save numbers as such, drop it, or"
    assert refused(path).startswith(message)
    path = write(tmp_path / "gems.parquet", gems(b=pa.array([None] * 30, pa.string())))
    assert refused(path).startswith("column 'b': not numeric but of type string, as in None in row 1; ")
    path = write(tmp_path / "gems.parquet", gems(b=[[1.0]] * 30))
    assert refused(path).startswith("column 'b': not numeric but of type list<")
    path = write(tmp_path / "gems.parquet", gems(y=[[1]] * 30))
    assert refused(path).startswith("column 'y': values of type list<")


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_labels_of_floating_point_are_refused(tmp_path, suffix):
    path = write(tmp_path / f"gems.{suffix}", gems(y=np.arange(30) / 2))
    assert "'y': values of type double; give integers or text" in refused(path)


def test_a_csv_whose_labels_are_all_different_has_too_few_of_each(tmp_path):
    path = write(tmp_path / "gems.csv", gems(y=np.arange(30) / 2))
    assert refused(path).startswith("column 'y': class '0' has too few examples, 1: test_fraction 0.4 leaves ")


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_one_class_is_too_few(tmp_path, suffix):
    what = "array" if suffix == "npz" else "column"
    path = write(tmp_path / f"gems.{suffix}", gems(y=np.array(["ruby"] * 30)))
    assert refused(path) == f"{what} 'y': 'ruby' is the only class; give two or more"


@pytest.mark.parametrize(
    ("suffix", "part", "kept"),
    [*((suffix, "training", "train") for suffix in FORMATS), ("csv", "test", "test")],
)
def test_a_given_split_has_every_class_on_both_sides(tmp_path, suffix, part, kept):
    parts = np.where((Y == "jade") & (kept == PARTS), "test" if kept == "train" else "train", PARTS)
    what = "array" if suffix == "npz" else "column"
    message = refused(write(tmp_path / f"gems.{suffix}", gems(part=parts)), split="part")
    assert message == f"{what} 'part': class 'jade' has no {part} example; give one"


@pytest.mark.parametrize(("fraction", "rare"), [(0.4, 1), (0.9, 4), (0.1, 4)])
def test_a_class_too_small_to_share_out_is_refused(tmp_path, fraction, rare):
    labels = np.where(np.arange(30) < rare, "opal", Y)
    message = refused(write(tmp_path / "gems.csv", gems(y=labels)), test_fraction=fraction)
    assert message.startswith(f"column 'y': class 'opal' has too few examples, {rare}: test_fraction {fraction} leaves")


def test_splits_may_be_written_in_any_case(tmp_path):
    parts = np.array(["Train", "TEST", "val"] * 10)
    stones = np.array(["ruby", "jade", "opal"] * 10)
    dataset = prepare(write(tmp_path / "gems.csv", gems(y=stones, part=parts)), split="part")
    assert dataset.split.values.tolist() == [0, 1, 2] * 10


def test_another_word_for_a_split_is_refused(tmp_path):
    path = write(tmp_path / "gems.csv", gems(part=np.where(PARTS == "test", "held-out", PARTS)))
    message = refused(path, split="part")
    assert message == "column 'part': 'held-out' is not a split; give train, test or validation, or 0 or 1"
    path = write(tmp_path / "gems.parquet", gems(part=PARTS == "test"))
    assert refused(path, split="part").startswith("column 'part': 'False' is not a split")


@pytest.mark.parametrize(("header", "name"), [("a,a,y", "a"), ("y,a,y", "y")])
def test_columns_of_one_name_in_a_parquet_are_refused(tmp_path, header, name):
    stored = pa.table([[1], [2], [3]], names=header.split(","))
    parquet.write_table(stored, tmp_path / "gems.parquet")
    assert refused(tmp_path / "gems.parquet") == f"2 columns are named {name!r}; rename them"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y", "empty, broken or no CSV file (CSV parse error: Empty CSV file or block"),
        ("\n\n", "empty, broken or no CSV file (CSV parse error: Empty CSV file or block"),
        ("y\nu\nv\n", "no columns of features beside 'y'"),
        (",a,y\n0,1,u\n1,2,v\n", "column 1 has no name; name it, or list the numeric ones in features"),
        ("a,y\n1,u\n2\n", "empty, broken or no CSV file (CSV parse error: Row #3: Expected 2 columns, got 1: 2"),
        (b"a,y\n1,\xff\n2,v\n", "byte 6 is not UTF-8; save it as UTF-8, or name its encoding, such as latin-1"),
        (b"\xff,y\n1,u\n", "byte 0 is not UTF-8; save it as UTF-8, or name its encoding, such as latin-1"),
        (
            "a,y\n1,u\n".encode("utf-16-le"),
            "holds zero bytes, which no UTF-8 does; save it as UTF-8, or name its encoding",
        ),
        ("a,y\n1,u\n".encode("utf-16")[:-1], "byte 16 is not UTF-16; save it as UTF-8, or name its encoding"),
        ("a,y\n1e999,u\n", "column 'a': 1 values infinite; drop their examples"),
    ],
)
def test_a_malformed_csv_is_refused(tmp_path, text, message):
    assert refused(table(tmp_path, text)).startswith(message)


@pytest.mark.parametrize("suffix", FORMATS)
def test_more_examples_or_numbers_than_are_read_are_refused(tmp_path, monkeypatch, suffix):
    path = write(tmp_path / f"gems.{suffix}", gems())
    monkeypatch.setattr(file, "VALUES", 89)
    assert refused(path).endswith("90 numbers, more than the 89 that are read; give fewer")
    monkeypatch.setattr(file, "EXAMPLES", 29)
    assert refused(path).endswith("30 examples, more than the 29 that are read; give fewer")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_more_columns_than_are_read_are_refused(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(tables, "COLUMNS", 3)
    path = write(tmp_path / f"gems.{suffix}", gems())
    assert refused(path) == "4 columns, more than the 3 that are read; give fewer"


@pytest.mark.parametrize("suffix", FORMATS)
def test_more_labels_than_there_can_be_classes_are_refused(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(labels, "CLASSES", 9)
    message = refused(write(tmp_path / f"gems.{suffix}", gems(y=np.arange(30))))
    assert message.endswith(": 30 different labels, more than 9; give the column of the classes")


@pytest.mark.parametrize(
    ("suffix", "first", "second"),
    [
        *((suffix, "1", "01") for suffix in FORMATS),
        ("parquet", "1", " 1"),
        ("parquet", "+1", "1"),
        ("parquet", "jade", "jade "),
        ("parquet", "caf\u00e9", "cafe\u0301"),
    ],
)
def test_labels_that_read_alike_are_refused(tmp_path, suffix, first, second):
    values = np.array([first, second] * 15)
    one, other = sorted((first, second))
    message = refused(write(tmp_path / f"gems.{suffix}", gems(y=values)))
    assert message.endswith(f": labels {one!r} and {other!r} are two classes, but read alike; write one of them")


@pytest.mark.parametrize("values", [["0.5", "1.5"], ["1", "2.0"], ["1e3", "-.5"]])
def test_numbers_that_are_no_integers_are_no_labels(tmp_path, values):
    message = refused(write(tmp_path / "gems.csv", gems(y=np.array(values * 15))))
    assert message.endswith("is a number, but no integer; give integers or text as labels")
    assert prepare(write(tmp_path / "gems.csv", gems(y=np.array([values[0], "v1.0"] * 15)))).n_train == 18


EUROPEAN = "a;b;y\n0,5;-1e3;\u00fc\n1,5;0;v\n,5;1;\u00fc\n1,5;1;v\n"


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (EUROPEAN.encode(), {}),
        (EUROPEAN.replace(",", ".").replace(";", ",").encode(), {}),
        (EUROPEAN.replace(";", "\t").encode(), {}),
        (EUROPEAN.replace(";", "|").replace("\n", "\r\n").encode(), {}),
        (EUROPEAN.replace("0,5", '"0,5"').replace(";", " ").encode(), {"separator": " "}),
        (EUROPEAN.encode("utf-8-sig"), {}),
        (EUROPEAN.encode("utf-16"), {}),
        (EUROPEAN.encode("utf-32"), {}),
        (EUROPEAN.encode("utf-16-be"), {"encoding": "UTF-16BE"}),
        (EUROPEAN.encode("cp1252"), {"encoding": "cp1252"}),
        (gzip.compress(EUROPEAN.encode("utf-16"), mtime=0), {}),
        (
            EUROPEAN.replace("a;b", "'a, cm';'b, kg'").replace("0;", "0,0;").replace("1;", "1,0;").encode(),
            {"separator": ";"},
        ),
    ],
)
def test_a_csv_is_read_in_the_dialect_in_which_it_is_written(tmp_path, content, keys):
    dataset = prepare(table(tmp_path, content), standardise=False, test_fraction=0.5, **keys)
    assert dataset.class_names == ["v", "\u00fc"]
    np.testing.assert_array_equal(dataset.feature, [[0.5, -1000], [1.5, 0], [0.5, 1], [1.5, 1]])


@pytest.mark.parametrize("name", ["GEMS.CSV", "gems.tsv", "Gems.Tsv.GZ", "gems.csv.gz"])
def test_names_of_files_say_what_is_in_them_in_any_case(tmp_path, name):
    text = EUROPEAN.replace(";", "\t") if "ts" in name.lower() else EUROPEAN
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if "gz" in name.lower() else text.encode())
    assert prepare(tmp_path / name, test_fraction=0.5).class_names == ["v", "\u00fc"]


def test_what_may_be_thousands_is_a_fraction_where_that_is_said(tmp_path):
    path = table(tmp_path, "a;y\n" + "1,234;u\n2,000;v\n" * 2)
    assert prepare(path, test_fraction=0.5, decimal=",", standardise=False).feature[1, 0] == 2


@pytest.mark.parametrize("damage", [slice(-3), slice(20), slice(15)])
def test_a_packed_csv_that_is_broken_or_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, damage):
    path = tmp_path / "gems.csv.gz"
    path.write_bytes(gzip.compress(EUROPEAN.encode())[damage])
    assert refused(path).startswith("truncated or broken gzip file (")
    path.write_bytes(gzip.compress(EUROPEAN.encode() * 99))
    monkeypatch.setattr(file, "LIMIT", 1000)
    assert refused(path) == "unpacks to more than 1000 bytes; give fewer examples or columns"


@pytest.mark.parametrize(
    ("suffix", "word"),
    [
        *((suffix, "NaN") for suffix in FORMATS),
        *(("parquet", word) for word in ("nan", "NA", "null", "#N/A", "?", "None", "<NA>")),
    ],
)
def test_words_for_missing_values_are_no_class_of_numbers(tmp_path, suffix, word):
    labels = np.array(["0", "1", "1", "0", word] * 6)
    message = refused(write(tmp_path / f"gems.{suffix}", gems(y=labels)))
    assert message.endswith(f" 'y': 6 missing, written {word!r}; fill them or drop their examples")
    labels = np.array(["zero", "1", "1", "zero", word] * 6)
    assert prepare(write(tmp_path / f"gems.{suffix}", gems(y=labels))).class_names == sorted(["1", "zero", word])


@pytest.mark.parametrize("text", ['5" pipe', 'a "b" c', "5' pipe"])
def test_quotation_marks_within_a_value_are_taken_as_they_stand(tmp_path, text):
    path = table(tmp_path, "a,y,b\n" + f"1,{text},u\n2,v,u\n" * 15)
    assert prepare(path, features=["a"]).class_names == sorted([text, "v"])
    path = table(tmp_path, "a,y,b\n" + f'1,u,{text}\n2,v,"w"\n' * 15)
    assert prepare(path, features=["a"]).class_names == ["u", "v"]
    path = table(tmp_path, "a,y,b\n" + f"1,u,{text}\n2,v,w\n" * 15 + '3,v,"u')
    message = refused(path, features=["a"])
    assert message == "empty, broken or no CSV file (a quotation mark is never closed); correct it"


def test_an_index_of_pandas_can_be_the_labels(tmp_path):
    frame = pd.DataFrame({"a": X[:, 0], "stone": Y, "b": X[:, 1]}).set_index("stone")
    frame.to_parquet(tmp_path / "gems.parquet")
    dataset = prepare(tmp_path / "gems.parquet", label="stone")
    assert (dataset.columns, dataset.class_names) == (["a", "b"], ["jade", "ruby"])


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "gems.csv")
    assert refused(tmp_path / "gems.csv") == "a pipe or device; give a file, which can be read twice"


def test_decimals_of_a_parquet_are_numbers(tmp_path):
    values = pa.array([Decimal(f"{index}.25") for index in range(30)])
    dataset = prepare(write(tmp_path / "gems.parquet", gems(b=values)), standardise=False)
    np.testing.assert_array_equal(dataset.feature[:, 1], np.arange(30) + 0.25)


@pytest.mark.parametrize(
    "rows",
    ["0.7,0.9,0.7\n1,2,0\n", "0.7,NA,0\n1,2,0\n", "0.7,0.9\n1,0\n", "0,7;2,5;0,1\n1,5;2,5;0\n", "6,148,72\n1,85,66\n"],
)
def test_a_csv_without_names_loses_no_row_silently(tmp_path: Path, rows: str):
    assert refused(table(tmp_path, rows)) == (
        "the first row holds numbers and no names of columns; write names above it, or in their place if they are names"
    )


@pytest.mark.parametrize(
    ("header", "label"), [("400.5,410,2000", "2000"), ("0,1,2", "2"), ("2000,410,y", "y"), ("9,5,7", "7")]
)
def test_numbers_can_be_names_of_columns(tmp_path: Path, header: str, label: str):
    rows = "".join(f"{index},{index + 1},{index % 2}\n" for index in range(20))
    dataset = prepare(table(tmp_path, f"{header}\n{rows}"), label=label)
    assert dataset.attrs["columns"] == header.split(",")[:2]
    assert dataset.sizes["example"] == 20


def test_a_parquet_without_rows_is_refused(tmp_path):
    path = write(tmp_path / "gems.parquet", {"a": pa.array([], pa.int64()), "y": pa.array([], pa.string())})
    assert refused(path) == "a header, but no rows; give examples"


def test_a_broken_parquet_is_refused(tmp_path):
    path = write(tmp_path / "gems.parquet", gems())
    whole = path.read_bytes()
    for broken in (b"text", whole[:-1], whole[4:], whole[: len(whole) // 2], whole[:8] + bytes(200) + whole[208:]):
        path.write_bytes(broken)
        assert refused(path).startswith("empty, broken or no Parquet file (")


@pytest.mark.parametrize(
    "columns",
    [
        {"a": np.zeros(300_000), "y": np.arange(300_000) % 2},
        {"a": np.zeros(20_000), "y": np.array(["u" * 100, "v" * 100] * 10_000)},
        {"a": np.array(["u" * 10_000] * 2000), "y": np.arange(2000) % 2},
    ],
)
def test_a_parquet_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, columns):
    path = write(tmp_path / "gems.parquet", columns)
    limit = path.stat().st_size
    monkeypatch.setattr(file, "LIMIT", limit)
    assert refused(path) == f"unpacks to more than {limit} bytes; give fewer examples or columns"


@pytest.mark.parametrize("suffix", FORMATS)
def test_whatever_damage_a_file_takes_the_error_is_one_line(tmp_path, suffix):
    rng = np.random.default_rng(0)
    path = write(tmp_path / f"gems.{suffix}", gems())
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    messages = []
    for _ in range(60):
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole), 2)] = rng.integers(0, 256, 2)
        path.write_bytes(damaged.tobytes())
        try:
            prepare(path)
        except InputError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "y": Y[:-1]}, "arrays 'x' and 'y' have 30 and 29 examples"),
        ({"x": X, "y": Y, "part": PARTS[:-1]}, "arrays 'x' and 'part' have 30 and 29 examples"),
        ({"x": X, "y": Y[:, None]}, "array 'y': shape (30, 1); give one value an example"),
        ({"x": X[:, 0], "y": Y}, "array 'x': shape (30,); give [example, feature] or images"),
        ({"x": np.float64(1), "y": Y}, "array 'x': shape (); give [example, feature] or images"),
        ({"x": X[:0], "y": Y[:0]}, "array 'x': shape (0, 3) holds nothing; give examples with features"),
        ({"x": X[:, :0], "y": Y}, "array 'x': shape (30, 0) holds nothing; give examples with features"),
        ({"x": X.astype(str), "y": Y}, "array 'x': holds text; give numbers"),
        ({"x": X.astype(object), "y": Y}, "array 'x': Python objects, which would have to be unpickled"),
        ({"x": X, "y": Y.astype(object)}, "array 'y': Python objects, which would have to be unpickled"),
        ({"x": np.zeros((30, 3, 8, 8), np.uint8), "y": Y}, "array 'x': images of 8 channels; give [example, row, "),
    ],
)
def test_arrays_of_the_wrong_shape_or_type_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "gems.npz", **arrays)
    assert refused(tmp_path / "gems.npz", split="part" if "part" in arrays else None).startswith(message)


def test_a_side_is_for_images_that_are_no_smaller(tmp_path):
    path = write(tmp_path / "gems.npz", gems())
    assert refused(path, side=2).startswith("array 'x': shape (30, 3) of float64 is not an array of uint8 images; ")
    np.savez(path, x=np.zeros((30, 6, 6), np.uint8), y=Y)
    with pytest.raises(InputError, match=r"^side: 7 is larger than the 6 of .*gems\.npz; give at most 6$"):
        prepare(path, side=7)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, suffix):
    path = write(tmp_path / f"gems.{suffix}", gems())

    def edited(*arguments):
        write(path, gems(a=X[:, 0] + 1))
        return labels.read_classes(*arguments)

    monkeypatch.setattr(file, "read_classes", edited)
    assert refused(path) == "changed while it was read; run again"


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("size", [1e300, 1e20])
def test_values_beyond_float32_are_refused(tmp_path, suffix, size):
    path = write(tmp_path / f"gems.{suffix}", gems(b=X[:, 1] * size))
    where = "feature 1" if suffix == "npz" else "column 'b'"
    assert refused(path, standardise=False) == f"{where}: values too large for float32; scale them down"
