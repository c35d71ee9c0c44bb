"""Archives read in memory, member by member: nothing is unpacked to disk."""

import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from metaplastic.io.errors import InputError

Wanted = Callable[[str], object]
"""Says by a member's name whether to read it."""


def read_tar(archive: bytes, wanted: Wanted, *, mode: Literal["r:*", "r:"] = "r:*") -> dict[str, bytes]:
    """Return the content of the wanted members by name, in the archive's order.

    Use it only for an archive of known checksum or bounded size: it does not guard against a small file that unpacks to
    a huge one. With `mode` "r:" the archive must not be compressed.
    """
    with tarfile.open(fileobj=io.BytesIO(archive), mode=mode) as tar:
        members = (member for member in tar if member.isreg() and not member.issparse() and wanted(member.name))
        return {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in members}


def read_zip(
    archive: Path | io.BufferedIOBase, wanted: Wanted, *, place: Path | str, limit: int, total: int = 1 << 30
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the wanted members of a zip file that may be hostile; `place` names it in messages.

    `limit` and `total` are the greatest sizes in bytes of one wanted member and of all together.

    Raises:
        InputError: the archive is broken or holds a path that leads out of it, a link, or too large members.
    """
    size = 0
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                name = member.filename
                path = PurePosixPath(name.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in name.partition("/")[0]:
                    raise InputError(f"{place}: member {name!r} leads out of the archive; replace the archive")
                if member.is_dir():
                    continue
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise InputError(f"{place}: member {name!r} is a link; replace the archive")
                if not wanted(name):
                    continue
                if member.file_size > limit:
                    raise InputError(f"{place}: member {name!r} has more than {limit} bytes; replace the file")
                if (size := size + member.file_size) > total:
                    raise InputError(f"{place}: unpacks to more than {total} bytes; replace the file")
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise NotImplementedError(f"{name!r} is neither stored nor deflated")
                with file.open(member) as content:
                    # No more memory than the size that the archive states, which may be a lie.
                    yield name, content.read(member.file_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, IndexError, RuntimeError, ValueError) as error:
        raise InputError(f"{place}: truncated or no zip archive ({error}); replace the file") from error
