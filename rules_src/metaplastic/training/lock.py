"""One process at a time in the folder of a run: a lock that the kernel takes back however its holder ends.

Of processes that train together the first one holds it for all.
"""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metaplastic.io.errors import InputError
from metaplastic.training.launch import is_first

LOCK = "lock"
"""Name within the folder of a run; the file stays, and says who was the last to hold it."""

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}
"""Errors of file systems that know no locks."""

log = logging.getLogger(__name__)
_held: set[Path] = set()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make `folder` and hold it for this process; what holds it already may do so again within.

    Raises:
        InputError: another process holds it, or it cannot be written to.
    """
    folder = folder.absolute()
    if folder in _held or not is_first():
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to: {error.strerror}; mend that and run again") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise InputError(f"{folder}: in use by {holder}; wait for it or end it, then run again") from error
            log.warning("%s: its file system knows no locks; start no second process on it", folder)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        _held.add(folder)
        try:
            yield
        finally:
            _held.discard(folder)
