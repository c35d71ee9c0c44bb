"""Archives read in memory, member by member: nothing is unpacked to disk, and nothing in them is trusted."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from metaplastic.io.errors import InputError

LIMIT = 1 << 28
"""Bytes that one member may have; the largest one needed, a CIFAR-10 batch, has 31 million."""

TOTAL = 1 << 30
"""Bytes that an archive may unpack to, or what is wanted of it: more than the whole Large Movie Review takes."""

OPENERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
"""What reads a compressed file, by how it begins."""

BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    IndexError,
    RuntimeError,
    ValueError,
)


def read_tar(
    archive: Path | bytes, wanted: Callable[[str], bool], *, place: Path | str, limit: int = LIMIT, total: int = TOTAL
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the wanted members of a tar file of any compression, in the archive's order.

    It is unpacked as it is read, and no further than its limits, since a small file may unpack to a huge one.

    Args:
        archive: a path, or the bytes of an archive found inside another.
        wanted: says by its name whether a member is to be read.
        place: what an error message calls the archive.
        limit: greatest size of a wanted member in bytes.
        total: greatest size of all that it unpacks to, unwanted members and headers included.

    Raises:
        InputError: the archive is broken, unpacks to more than `total`, or holds a path that leads out of it, a link,
            a device or, among the wanted, a member over `limit`.
    """
    source = archive.open("rb") if isinstance(archive, Path) else io.BytesIO(archive)
    with source:
        try:
            unpacked: Any = _Bounded(_opened(source), total, place)
            with tarfile.open(fileobj=unpacked, mode="r|") as tar:
                for member in tar:
                    _check_name(member.name, place)
                    if member.isdir():
                        continue
                    if not member.isreg():
                        raise InputError(f"{place}: member {member.name!r} is a link or device; replace the archive")
                    if wanted(member.name):
                        _check_size(member.name, member.size, limit, place)
                        content = tar.extractfile(member)
                        assert content is not None  # noqa: S101 (a regular member has content)
                        yield member.name, content.read()
        except BROKEN as error:
            raise InputError(f"{place}: truncated or no tar archive ({error}); replace the file") from error


def read_zip(
    archive: Path, wanted: Callable[[str], bool], *, place: Path | str, limit: int = LIMIT, total: int = TOTAL
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the wanted members of a zip file; arguments and errors as in `read_tar`.

    Only the wanted members count towards `total`, since the others are not unpacked.
    """
    size = 0
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                _check_name(member.filename, place)
                if member.is_dir():
                    continue
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise InputError(f"{place}: member {member.filename!r} is a link; replace the archive")
                if wanted(member.filename):
                    _check_size(member.filename, member.file_size, limit, place)
                    size += member.file_size
                    _check_total(size, total, place)
                    yield member.filename, _inflate(file, member)
    except BROKEN as error:
        raise InputError(f"{place}: truncated or no zip archive ({error}); replace the file") from error


class _Bounded:
    """A file that is read from its start on, and not beyond a limit."""

    def __init__(self, file: Any, limit: int, place: Path | str) -> None:
        self.file, self.limit, self.place, self.size = file, limit, place, 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        content: bytes = self.file.read(size)
        self.size += len(content)
        _check_total(self.size, self.limit, self.place)
        return content


def _opened(source: Any) -> Any:
    """The file, unpacked as it is read if it is compressed."""
    start = source.read(8)
    source.seek(0)
    return next((opener(source) for magic, opener in OPENERS.items() if start.startswith(magic)), source)


def _inflate(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Content of a member; no more memory than the size it states, which may be a lie."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError(f"{member.filename!r} is neither stored nor deflated")
    with file.open(member) as content:
        return content.read(member.file_size)


def read_compressed(path: Path, opener: Callable[[Path], io.BufferedIOBase], *, limit: int = LIMIT) -> bytes:
    """Content of one compressed file, opened by `gzip.open`, `lzma.open` or the like.

    Raises:
        InputError: the file is broken, or its content is larger than `limit` bytes.
    """
    try:
        with opener(path) as file:
            content = file.read(limit + 1)
    except BROKEN as error:
        raise InputError(f"{path}: truncated or not compressed as its name says ({error}); replace the file") from error
    _check_size(path.name, len(content), limit, path.parent)
    return content


def _check_name(name: str, place: Path | str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name.partition("/")[0]:
        raise InputError(f"{place}: member {name!r} leads out of the archive; replace the archive")


def _check_total(size: int, total: int, place: Path | str) -> None:
    if size > total:
        raise InputError(f"{place}: unpacks to more than {total} bytes; replace the file")


def _check_size(name: str, size: int, limit: int, place: Path | str) -> None:
    if size > limit:
        raise InputError(f"{place}: member {name!r} has more than {limit} bytes; replace the file")
