"""Read columns of a `.csv` or `.parquet` by Arrow, which refuses rows of unequal length."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path, PurePath
from textwrap import shorten
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from metaplastic.datasets.spec import Dialect
from metaplastic.datasets.user.dialects import as_utf8, check_unpacked, marks_of, unpacked
from metaplastic.io.errors import InputError

BLOCK = 1 << 24
"""Bytes of a CSV that are parsed at once; no row may be longer."""
BATCH = 1024
"""Rows of a Parquet file that are unpacked at once."""
COLUMNS = 1 << 17
"""Most columns of a file; Arrow takes about a kilobyte for each."""
READ = csv.ReadOptions(block_size=BLOCK, use_threads=False)
"""With one thread, errors name the row."""
MISSING = {"", "?", "-", ".", "<na>", "n/a", "na", "#n/a", "#n/a n/a", "#na", "nan", "-nan", "null", "none", "nat"}
"""What stands for a missing value among numbers, in lower case; among texts only an empty one does."""
NULLS = [word for lower in MISSING for word in {lower, lower.upper(), lower.title(), lower.capitalize()}]
NULLS += csv.ConvertOptions().null_values
"""The same words in every spelling, because Arrow distinguishes capitals."""
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
END = "\0the end"
"""Ends the row that `CsvTable` appends to a text."""


def is_table(path: PurePath) -> bool:
    """Return whether a path has the name of a table, or one that says nothing, as those of pipes do."""
    return _suffix(path) in {"", ".csv", ".tsv", ".parquet"}


def exceeds(path: Path, *, size: int, rows: int, numbers: int) -> bool:
    """Return whether a Parquet file takes more bytes, or has more rows or numbers than these; refuse a broken one."""
    with _blamed_on(path, "Parquet"):
        found = parquet.read_metadata(path)
        unpacked = sum(found.row_group(index).total_byte_size for index in range(found.num_row_groups))
        count = found.num_rows * found.num_columns
        return max(unpacked, path.stat().st_size) > size or found.num_rows > rows or count > numbers


def _hold_values(names: Sequence[str]) -> bool:
    """Return whether what stands for names are values; numbers that rise, such as years, can be names."""
    cells = [cell for cell in map(str.strip, names) if cell.lower() not in MISSING]
    numbers = [float(cell) for cell in cells if NUMBER.fullmatch(cell)]
    rising = all(first < second for first, second in pairwise(numbers))
    counted = numbers == list(range(len(numbers)))
    return len(numbers) == len(cells) and not (counted or (rising and len(numbers) > 2))


def _suffix(path: PurePath) -> str:
    return PurePath(path.name.lower().removesuffix(".gz")).suffix


class CsvTable:
    """A CSV, in whichever dialect."""

    names: list[str]
    """Its columns in order."""
    index: list[str]
    """Those that hold an index of pandas."""
    typed = False
    """Whether the file says of which types they are."""
    nameless: bool
    """Whether the first row seems to hold values in place of names."""

    def __init__(self, path: Path, content: bytes, dialect: Dialect) -> None:
        self._path, self._text, self.index = path, as_utf8(content, dialect.encoding, path), list[str]()
        self._separator, self._decimal = marks_of(dialect, self._text, path)
        with _blamed_on(path, "CSV"):
            header = self._text[:BLOCK].partition(b"\n")[0]
            check_count(path, "columns", header.count(self._separator.encode()) + 1, COLUMNS)
            parse = csv.ParseOptions(delimiter=self._separator, newlines_in_values=True)
            with csv.open_csv(pa.BufferReader(self._text), READ, parse) as reader:
                self.names = reader.schema.names
        self.nameless = _hold_values([name.replace(self._decimal, ".") for name in self.names])

    def read(self, names: Sequence[str], texts: Sequence[str], *, limit: int, examples: int) -> pa.Table:
        """Read the named columns; those in `texts` stay texts even if they look like numbers.

        Raises:
            InputError: the file is broken, unpacks to more than `limit` bytes or has more rows than `examples`.
        """
        types = dict.fromkeys(texts, pa.string())
        with _blamed_on(self._path, "CSV"):
            try:
                table = self._parsed(names, dict.fromkeys(names, pa.float64()) | types)
            except pa.ArrowInvalid:
                # To infer types Arrow keeps the text of all values, so it does so only where they are not all numbers.
                table = self._parsed(names, types)
            check_count(self._path, "examples", table.num_rows, examples)
            table.validate(full=True)
        return table

    def _parsed(self, names: Sequence[str], types: dict[str, pa.DataType]) -> pa.Table:
        # Arrow reads an unclosed quotation mark as one value up to the end of the file, even past an appended row.
        end, closed = self._separator * len(self.names) + END, b'"' not in self._text
        text = self._text if closed else self._text + f"\n{end}".encode()

        def judge(row: csv.InvalidRow) -> str:
            nonlocal closed
            closed = row.text == end
            return "skip" if row.text.endswith(END) else "error"

        parse = csv.ParseOptions(delimiter=self._separator, newlines_in_values=True, invalid_row_handler=judge)
        convert = csv.ConvertOptions(
            include_columns=names, column_types=types, decimal_point=self._decimal, null_values=NULLS
        )
        table = csv.read_csv(pa.BufferReader(text), READ, parse, convert)
        if not closed:
            raise ValueError("a quotation mark is never closed")
        return table


class ParquetTable:
    """A Parquet file, with the same members; little of its content is in memory at a time if that is not given."""

    typed = True
    nameless = False

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self._path, self._content = path, content
        with _blamed_on(path, "Parquet"):
            self._schema = parquet.read_schema(self._source())
            check_count(path, "columns", len(self._schema), COLUMNS)
        self.names, stored = self._schema.names, None
        # What pandas has written beside the data may be damaged; they are readable without it.
        with suppress(ValueError):
            stored = self._schema.pandas_metadata
        index = stored.get("index_columns") if isinstance(stored, dict) else None
        self.index = [name for name in self.names if name in (index if isinstance(index, list) else [])]

    def _source(self) -> Any:
        return self._path if self._content is None else pa.BufferReader(self._content)

    def _schema_of(self, names: Sequence[str]) -> pa.Schema:
        fields = [self._schema.field(name) for name in names]
        # Arrow neither decodes dictionaries to views of texts nor writes these to a CSV.
        views = [pa.types.is_string_view(field.type) for field in fields]
        return pa.schema([f.with_type(pa.string()) if view else f for f, view in zip(fields, views, strict=True)])

    def batches(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the named columns in batches of the rows of a row group, each of about `BLOCK` bytes of numbers."""
        schema = self._schema_of(names)
        with _blamed_on(self._path, "Parquet"), parquet.ParquetFile(self._source()) as file:
            # Read at once, Arrow would keep groups that it is through with.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(max(1, BLOCK // (8 * len(names))), row_groups=[group], columns=names):
                    table = pa.Table.from_batches([batch]).select(names).cast(schema)
                    table.validate(full=True)
                    yield table

    def read(self, names: Sequence[str], texts: Sequence[str], *, limit: int, examples: int) -> pa.Table:
        """Read the named columns as `CsvTable.read` does."""
        schema = self._schema_of(names)
        # A repeated text is stored once, so a small file could unpack to a huge one.
        repeated = [field.name for field in schema if _is_long(field.type)]
        batches, size = [], 0
        with _blamed_on(self._path, "Parquet"), parquet.ParquetFile(self._source(), read_dictionary=repeated) as file:
            check_count(self._path, "examples", file.metadata.num_rows, examples)
            groups = (file.metadata.row_group(index) for index in range(file.metadata.num_row_groups))
            check_unpacked(self._path, sum(group.total_byte_size for group in groups), limit)
            for batch in file.iter_batches(BATCH, columns=names):
                size += sum(map(_bytes, batch.columns))
                check_unpacked(self._path, size, limit)
                batches.append(batch)
            encoded = pa.Table.from_batches(batches, None if batches else file.schema_arrow).select(names)
            table = encoded.cast(schema)
            table.validate(full=True)
        return table


Table = CsvTable | ParquetTable


def open_table(path: Path, content: bytes, dialect: Dialect, *, limit: int) -> Table:
    """Open the content of a file, packed by gzip or not; refuse a broken one.

    A path whose name says nothing is a Parquet file if its content begins like one.
    """
    content = unpacked(content, path, limit)
    is_parquet = _suffix(path) == ".parquet" or (not _suffix(path) and content.startswith(b"PAR1"))
    if _suffix(path) == ".tsv" and not dialect.separator:
        dialect = dialect.model_copy(update={"separator": "\t"})
    return ParquetTable(path, content) if is_parquet else CsvTable(path, content, dialect)


def _bytes(column: pa.Array) -> int:
    """Return the size of a column when it is no longer encoded by a dictionary."""
    if not pa.types.is_dictionary(column.type) or not _is_long(column.type.value_type):
        return int(column.nbytes)
    return pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0


NUMBERS = {
    pa.int64(): r"^(0|-?[1-9][0-9]*)?$",
    pa.float64(): r"^(-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?)?$",
}
"""Numbers that texts can be taken for without losing anything, such as zeros in front; an empty text is missing."""


def as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as the numbers that they all are, or else as they are."""
    for kind, pattern in NUMBERS.items() if is_text(column.type) else ():
        if pc.all(pc.match_substring_regex(column, pattern)).as_py() and pc.any(pc.not_equal(column, "")).as_py():
            # Larger integers than 64 bits hold stay texts.
            with suppress(pa.ArrowInvalid):
                return pc.if_else(pc.equal(column, ""), None, column).cast(kind)
    return column


def value_type(column: pa.Array | pa.ChunkedArray) -> pa.DataType:
    """Return the type of the values, also for a column that is encoded by a dictionary."""
    return column.type.value_type if pa.types.is_dictionary(column.type) else column.type


def is_text(kind: pa.DataType) -> bool:
    """Return whether values are strings, in any of Arrow's layouts."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_long(kind: pa.DataType) -> bool:
    """Return whether a value may take many bytes."""
    return is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def check_count(place: Path | str, what: str, count: int, limit: int) -> None:
    """Raise an `InputError` that begins with `place` if there are more of `what` than `limit`."""
    if count > limit:
        raise InputError(f"{place}: {count} {what}, more than the {limit} that are read; give fewer")


@contextmanager
def _blamed_on(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: empty, broken or no {kind} file ({shorten(str(error), 200)}); correct it") from error
