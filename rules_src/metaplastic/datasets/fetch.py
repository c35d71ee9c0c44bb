"""Raw files: from a local mirror first, else downloaded; always verified, never left half-written."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pooch  # type: ignore[import-untyped]

from metaplastic.io.errors import InputError

RETRIES = 2
"""Further attempts at a failed download, after a pause of one second and then of two."""


class RemoteFile(NamedTuple):
    """A file's address, with the checksum that its publisher or common loaders give."""

    name: str
    url: str
    checksum: str
    """`sha256:<hex>` or `md5:<hex>`."""


class RawFile(NamedTuple):
    """A file and its content, which is read only once."""

    path: Path
    content: bytes

    @property
    def checksum_line(self) -> str:
        """`<sha256>  <name>`, as `sha256sum` prints it: an entry of a dataset's attribute `checksum`."""
        return f"{sha256(self.content)}  {self.path.name}"


@dataclass(frozen=True)
class Fetch:
    """Find raw files: `<mirror>/<source>/<file>` if it is there, else `<cache>/<source>/<file>`, else the network.

    Raises:
        InputError: the mirror is not a folder.
    """

    cache: Path
    mirror: Path | None = None

    def __post_init__(self) -> None:
        if self.mirror is not None and not self.mirror.is_dir():
            raise InputError(f"--mirror {self.mirror}: no such folder; correct or drop the option")

    def mirrored(self, source: str, name: str) -> Path | None:
        """Return the path of a file in the mirror, unverified, or None if the mirror lacks it.

        Raises:
            InputError: there is a folder in its place.
        """
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
        registry, urls = {file.name: file.checksum}, {file.name: file.url}
        download = pooch.create(self.cache / source, base_url="", registry=registry, urls=urls, retry_if_failed=RETRIES)
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
    """Check bytes against `sha256:<hex>` or `md5:<hex>`.

    Raises:
        InputError: they differ; the message names `place`, what was expected and what is there.
    """
    algorithm, expected = checksum.split(":")
    got = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    if got != expected:
        raise InputError(f"{place}: wrong checksum, expected {checksum}, got {algorithm}:{got}; remove or replace it")


def members_digest(members: Iterable[tuple[str, bytes]]) -> str:
    """Return the SHA-256 over sorted names and SHA-256s of files, which does not depend on how they are packed."""
    return sha256("".join(sorted(f"{name}\0{sha256(data)}\n" for name, data in members)).encode())


def package_file(package: str, *parts: str) -> Path:
    """Return the path of a data file or folder inside an installed package, without importing the package.

    Raises:
        InputError: the package is not installed or lacks the file.
    """
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or []:
        path = Path(folder, *parts)
        if path.exists():
            return path
    raise InputError(f"{'/'.join((package, *parts))}: not found; install {package} again")
