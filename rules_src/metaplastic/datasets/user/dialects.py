"""How a CSV is written: packed or not, its encoding, separator and decimal mark, found where nobody names them."""

import codecs
import csv
import gzip
import io
import re
import zlib
from pathlib import Path

from metaplastic.datasets.spec import Dialect
from metaplastic.io.errors import InputError

MARKS = ",;\t|"
"""Separators that are found."""
SAMPLE = 1 << 20
"""Bytes of the first lines, from which separator and decimal mark are found."""
CHUNK = 1 << 24
"""Bytes that are decoded at once."""
BEGINNINGS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by the mark that a file may begin with; the longer mark of two that begin alike comes first."""
GZIP = b"\x1f\x8b"
COMMA_FRACTION, POINT_FRACTION = (re.compile(rf"[+-]?[0-9]*\{mark}[0-9]+(e[+-]?[0-9]+)?", re.I) for mark in ",.")
THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+")


def unpacked(content: bytes, place: Path, limit: int) -> bytes:
    """Return what a gzip file holds, or any other content as it is.

    Raises:
        InputError: the file is broken, or unpacks to more than `limit` bytes.
    """
    if not content.startswith(GZIP):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            content = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{place}: truncated or broken gzip file ({error}); replace the file") from error
    check_unpacked(place, len(content), limit)
    return content


def check_unpacked(place: Path, size: int, limit: int) -> None:
    """Refuse a file that unpacks to more bytes than the limit."""
    if size > limit:
        raise InputError(f"{place}: unpacks to more than {limit} bytes; give fewer examples or columns")


def as_utf8(content: bytes, encoding: str | None, place: Path) -> bytes:
    """Return a text as UTF-8 without a byte order mark; raise InputError for bytes that its encoding does not have."""
    advice = "name another" if encoding else "save it as UTF-8, or name its encoding, such as latin-1 or utf-16-le"
    encoding = encoding or next((name for mark, name in BEGINNINGS.items() if content.startswith(mark)), "utf-8")
    # What is UTF-8 is checked and not copied.
    is_utf8 = codecs.lookup(encoding).name == "utf-8" and not content.startswith(codecs.BOM_UTF8)
    decoder, decoded = codecs.getincrementaldecoder(encoding)(), io.BytesIO()
    for start in range(0, len(content), CHUNK):
        waiting = len(decoder.getstate()[0])
        try:
            piece = decoder.decode(content[start : start + CHUNK], start + CHUNK >= len(content))
            if not is_utf8:
                decoded.write((piece if start else piece.removeprefix("\ufeff")).encode())
        except UnicodeError as error:
            byte = start - waiting + getattr(error, "start", 0)
            raise InputError(f"{place}: byte {byte} is not {encoding.upper()}; {advice}") from error
    text = content if is_utf8 else decoded.getvalue()
    if b"\0" in text[:SAMPLE]:
        raise InputError(f"{place}: holds zero bytes, which no {encoding.upper()} does; {advice}")
    return text


def marks_of(dialect: Dialect, text: bytes, place: Path) -> tuple[str, str]:
    """Return the separator and the decimal mark of a CSV in UTF-8.

    Raises:
        InputError: the columns can be parted in two ways.
    """
    rows = {mark: _rows(text, mark) for mark in dialect.separator or MARKS}
    # A mark parts the columns if it makes as many of every row.
    widths = {mark: set(map(len, found)) for mark, found in rows.items()}
    fitting = [mark for mark, found in widths.items() if len(found) == 1 and found != {1}]
    if len(fitting) > 1:
        raise InputError(f"{place}: columns are parted by {' or by '.join(map(repr, fitting))}; name one as separator")
    separator = fitting[0] if fitting else max(rows, key=lambda mark: len(rows[mark][0]) if rows[mark] else 0)
    cells = [cell.strip() for row in rows[separator][1:] for cell in row]
    commas = any(COMMA_FRACTION.fullmatch(cell) and not THOUSANDS.fullmatch(cell) for cell in cells)
    found = "," if commas and not any(map(POINT_FRACTION.fullmatch, cells)) else "."
    return separator, dialect.decimal or found


def _rows(text: bytes, mark: str) -> list[list[str]]:
    """Return the first rows, parted by a mark, without empty ones."""
    sample = text[:SAMPLE].decode(errors="ignore")
    try:
        rows = [row for row in csv.reader(io.StringIO(sample, newline=""), delimiter=mark) if row]
    except csv.Error:
        return []
    return rows[:-1] if len(text) > SAMPLE and len(rows) > 1 else rows
