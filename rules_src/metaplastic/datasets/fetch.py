"""Raw files: from a local mirror first, else downloaded; always verified, never left half-written."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from metaplastic.io.errors import InputError


class RemoteFile(NamedTuple):
    """A file's address, with the checksum that its publisher or common loaders give."""

    name: str
    url: str
    checksum: str
    """`sha256:<hex>` or `md5:<hex>`."""
    members: str = ""
    """`members_digest` of its content, for a mirror's copy that was packed anew."""


class RawFile(NamedTuple):
    """A file and its content, which is read only once."""

    path: Path
    content: bytes

    @property
    def checksum_line(self) -> str:
        """`<sha256>  <name>`, as `sha256sum` prints it."""
        return f"{sha256(self.content)}  {self.path.name}"


def made_from(kind: str, *files: RawFile | str) -> dict[str, Any]:
    """Return a dataset's attributes `checksum`, a line for each file or of any other digest, and `checksum_kind`."""
    return {"checksum": [getattr(file, "checksum_line", file) for file in files], "checksum_kind": kind}


@dataclass(frozen=True)
class Fetch:
    """Find raw files: `<mirror>/<source>/<file>` if it is there, else `<cache>/<source>/<file>`, else the network."""

    cache: Path
    mirror: Path | None = None
    """A folder; anything else is refused."""

    def __post_init__(self) -> None:
        if self.mirror is not None and not self.mirror.is_dir():
            raise InputError(f"--mirror {self.mirror}: no such folder; correct or drop the option")

    def mirrored(self, source: str, name: str) -> Path | None:
        """Return the path of a file in the mirror, unverified, or None if there is none; refuse a folder there."""
        path = self.mirror and self.mirror / source / name
        if path and path.is_dir():
            raise InputError(f"{path}: a folder where the mirror should have a file; replace or remove it")
        return path if path and path.is_file() else None

    def __call__(self, source: str, file: RemoteFile) -> RawFile:
        """Return a verified copy of `file`.

        Raises:
            InputError: the mirror's copy has another checksum, or the download fails or has another checksum.
        """
        if mirrored := self.mirrored(source, file.name):
            raw = read_raw(mirrored)
            verify(raw.content, file.checksum, mirrored)
            return raw
        # Users' files, which are read here too, need no downloads.
        import pooch  # type: ignore[import-untyped]

        registry, urls = {file.name: file.checksum}, {file.name: file.url}
        # A failed download is tried again after a pause of one second, and then of two.
        download = pooch.create(self.cache / source, base_url="", registry=registry, urls=urls, retry_if_failed=2)
        try:
            return read_raw(Path(download.fetch(file.name)))
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; pooch's checksum error is a ValueError
            reason = " ".join(str(error).split()).rstrip(".")
            raise InputError(f"{file.url}: {reason}; {by_mirror(source, file.name)}") from error


def read_raw(path: Path) -> RawFile:
    """Read a file."""
    return RawFile(path, path.read_bytes())


def by_mirror(source: str, name: str) -> str:
    """Return the advice that ends the error message about a file that could not be fetched."""
    return f"try again later, or put the file at <mirror>/{source}/{name} and set data.mirror (--mirror)"


def sha256(data: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def verify(data: bytes, checksum: str, place: Path | str) -> None:
    """Raise an `InputError` that names `place` and both checksums if that of `data` is another than `checksum`."""
    algorithm, expected = checksum.split(":")
    got = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    if got != expected:
        raise InputError(f"{place}: wrong checksum, expected {checksum}, got {algorithm}:{got}; remove or replace it")


def members_digest(members: Iterable[tuple[str, bytes]]) -> str:
    """Return the SHA-256 over sorted names and SHA-256s of files, which does not depend on how they are packed."""
    return sha256("".join(sorted(f"{name}\0{sha256(data)}\n" for name, data in members)).encode())


def verify_members(members: Iterable[tuple[str, bytes]], archive: RemoteFile, path: Path, *, whole: str = "") -> str:
    """Return `<members_digest>  <name>` of an archive at `path`; refuse other members than those known.

    The message also names `whole`, the checksum of a file that would have been right as it is.
    """
    got = members_digest(members)
    if got != archive.members:
        expected = " or ".join(filter(None, [whole, f"members of sha256:{archive.members}"]))
        raise InputError(f"{path}: wrong checksum, expected {expected}, got members of sha256:{got}; replace the file")
    return f"{got}  {path.name}"


def package_file(package: str, *parts: str) -> Path:
    """Return a file or folder of an installed package, without importing it; refuse a package that lacks it."""
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or []:
        path = Path(folder, *parts)
        if path.exists():
            return path
    raise InputError(f"{'/'.join((package, *parts))}: not found; install {package} again")
