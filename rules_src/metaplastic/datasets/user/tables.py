"""Read columns of a `.csv` or `.parquet` by Arrow, which refuses rows of unequal length."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

import pyarrow as pa
from pyarrow import csv, parquet

from metaplastic.io.errors import InputError

BLOCK = 1 << 24
"""Bytes of a CSV that are parsed at once; no row may be longer."""
BATCH = 1024
"""Rows of a Parquet file that are unpacked at once."""
COLUMNS = 1 << 17
"""Most columns of a file; Arrow takes about a kilobyte for each."""
OPTIONS = {
    "read_options": csv.ReadOptions(block_size=BLOCK, use_threads=False),  # with one thread, errors name the row
    "parse_options": csv.ParseOptions(newlines_in_values=True),
}


def column_names(path: Path) -> list[str]:
    """Return the columns' names in order, without an index of pandas; refuse a broken file, or a name used twice."""
    with _blamed_on(path):
        if path.suffix == ".csv":
            with path.open("rb") as file:
                check_count(path, "columns", file.readline(BLOCK).count(b",") + 1, COLUMNS)
            with csv.open_csv(path, **OPTIONS) as reader:
                names = reader.schema.names
        else:
            schema = parquet.read_schema(path)
            check_count(path, "columns", len(schema), COLUMNS)
            stored = schema.pandas_metadata
            index = stored.get("index_columns", []) if isinstance(stored, dict) else []
            names = [name for name in schema.names if name not in index]
    name, uses = Counter(names).most_common(1)[0] if names else ("", 0)
    if uses > 1:
        raise InputError(f"{path}: {uses} columns are named {name!r}; rename them")
    return names


def read_columns(path: Path, names: Sequence[str], texts: Sequence[str], *, limit: int, examples: int) -> pa.Table:
    """Read the named columns; those in `texts` stay texts in a CSV even if they look like numbers.

    Raises:
        InputError: the file is broken, unpacks to more than `limit` bytes or has more rows than `examples`.
    """
    with _blamed_on(path):
        if path.suffix == ".csv":
            if path.read_bytes().count(b'"') % 2:
                # Arrow would read the rest of the file as one value.
                raise ValueError("a quotation mark is never closed")
            convert = csv.ConvertOptions(include_columns=names, column_types=dict.fromkeys(texts, pa.string()))
            table = csv.read_csv(path, **OPTIONS, convert_options=convert)
        else:
            check_count(path, "examples", parquet.read_metadata(path).num_rows, examples)
            table = _read_parquet(path, names, limit)
        check_count(path, "examples", table.num_rows, examples)
        table.validate(full=True)
    return table


def value_type(column: pa.Array | pa.ChunkedArray) -> pa.DataType:
    """Return the type of the values, also for a column that is encoded by a dictionary."""
    return column.type.value_type if pa.types.is_dictionary(column.type) else column.type


def is_text(kind: pa.DataType) -> bool:
    """Return whether values are strings, in any of Arrow's layouts."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def check_count(place: Path | str, what: str, count: int, limit: int) -> None:
    """Raise an `InputError` that begins with `place` if there are more of `what` than `limit`."""
    if count > limit:
        raise InputError(f"{place}: {count} {what}, more than the {limit} that are read; give fewer")


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        kind = {".csv": "CSV", ".parquet": "Parquet"}[path.suffix]
        raise InputError(f"{path}: empty, broken or no {kind} file ({shorten(str(error), 200)}); correct it") from error


def _read_parquet(path: Path, names: Sequence[str], limit: int) -> pa.Table:
    schema = parquet.read_schema(path)
    # A repeated text is stored once, so a small file could unpack to a huge one.
    repeated = [name for name in names if is_text(schema.field(name).type)]
    batches, size = [], 0
    with parquet.ParquetFile(path, read_dictionary=repeated) as file:
        groups = (file.metadata.row_group(index) for index in range(file.metadata.num_row_groups))
        _check_size(path, sum(group.total_byte_size for group in groups), limit)
        for batch in file.iter_batches(BATCH, columns=names):
            size += batch.nbytes
            _check_size(path, size, limit)
            batches.append(batch)
        return pa.Table.from_batches(batches, None if batches else file.schema_arrow).select(names)


def _check_size(path: Path, size: int, limit: int) -> None:
    if size > limit:
        raise InputError(f"{path}: unpacks to more than {limit} bytes; give fewer examples or columns")
