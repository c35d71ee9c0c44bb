"""Processes: several that train one thing together, on one machine or on many, and one at a time in a run's folder.

A command that is asked for several processes starts itself again that many times, by `srun` within a Slurm job, and
ends when they have ended. All hold the same state and do the same work, each on its share of the tasks. Only the first
one reads states from the disk, writes to it, and holds the folder.
"""

import errno
import fcntl
import logging
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np
from jax.experimental import multihost_utils

from metaplastic.config.base import short_hash
from metaplastic.io.errors import InputError
from metaplastic.io.memory import OUT_OF_MEMORY

PLACE = "METAPLASTIC_PROCESS"
"""Variable that tells a process its place: `NUMBER/COUNT@HOST:PORT`, with the address of the first process. The number
is `srun` under Slurm, which tells each process its own number and shows it a GPU of its own."""
PATIENCE = 60
"""Seconds that processes wait for one another at the start."""
GRACE = 2
"""Seconds that the others have to end after one has reported an error, since JAX makes processes end together."""
ERROR = "error: "
NOISE = re.compile(
    r".*peer ranks|[WEF]\d{4} \S+ +\d+ (preemption_sync|coordination_service|client\.h)"
    r"|Additional GRPC error|:UNKNOWN:Error received|\*\*\* Check failure|    @ +0x"
)
"""Lines in which JAX's libraries report connections and ended processes; the launcher reports these itself."""
AGAIN = "run again to go on from the last saved state"

log = logging.getLogger(__name__)
_held: set[tuple[Path, int]] = set()
"""Folders that are locked, each with the thread that has locked it."""


def launch(count: int, *, cores: int) -> None:
    """Run this command line in `count` processes of `cores` cores each; if one fails, end all and raise its error."""
    errors: list[str] = []
    pipes, streams = [os.pipe(), os.pipe()], (sys.stdout, sys.stderr)
    members = _started([sys.executable, *sys.orig_argv[1:]], count, cores, *(writing for _, writing in pipes))
    with ThreadPoolExecutor(len(pipes)) as listeners:
        for (reading, writing), stream in zip(pipes, streams, strict=True):
            os.close(writing)
            listeners.submit(_listen, reading, stream, errors)
        try:
            code = _first_failure(members, errors)
        finally:
            for member in members:
                member.kill()
                member.wait()
    if code < 0:
        raise InputError(f"one of {count} processes was ended by {signal.Signals(-code).name}; {AGAIN}")
    if code:
        raise InputError(errors[0] if errors else f"one of {count} processes ended with exit code {code}; {AGAIN}")


def is_launched() -> bool:
    """Return whether this process is one of several that `launch` has started."""
    return PLACE in os.environ


def join() -> bool:
    """Connect to the others that `launch` has started; return false if alone, raise InputError if out of reach."""
    if not is_launched():
        return False
    place = os.environ[PLACE]
    try:
        position, _, address = place.partition("@")
        name, _, count = position.partition("/")
        by_srun = name == "srun"
        number = int(os.environ.get("SLURM_PROCID", "") if by_srun else name)
        if not by_srun:
            threading.Thread(target=_end_with_launcher, daemon=True).start()
        if number:
            _reach(address)
        devices = None if by_srun else [number]
        jax.distributed.initialize(address, int(count), number, devices, initialization_timeout=PATIENCE)
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{PLACE} {place}: the processes do not find one another ({reason}); {AGAIN}") from error
    return True


def is_first() -> bool:
    """Return whether this process reads and writes for all, as a process alone does."""
    return jax.process_index() == 0


def from_first(number: int) -> int:
    """Return the number that the first process calls this with."""
    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def check_equal(record: Mapping[str, str]) -> None:
    """Check that all processes have the same config, code, data and versions.

    Call it before anything is compiled: JAX waits only half a minute for the others in their first common step, and
    they may have to compile what the first one finds in its cache.

    Raises:
        InputError: they differ; the message names the first entry of `record` that does.
    """
    mine = np.array([int(short_hash(value), 16) % 2**31 for value in record.values()], np.int32)
    of_all = multihost_utils.process_allgather(mine)
    for name, values in zip(record, np.atleast_2d(of_all).T, strict=True):
        if number := int(np.argmax(values != values[0])):
            mend = "start both from one checkout and environment"
            raise InputError(f"{name}: process {number} has another one than process 0; {mend}")


@contextmanager
def together() -> Iterator[None]:
    """Report in one line that another process has ended, where work inside needs it."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1 or OUT_OF_MEMORY in str(error):
            raise
        raise InputError(f"another process has ended ({' '.join(str(error).split())}); {AGAIN}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make `folder` and hold it for this thread, which may do so again within; the kernel frees it when it ends.

    Raises:
        InputError: another process or thread holds it, or it cannot be written to.
    """
    folder = folder.absolute()
    held, this = (folder, threading.get_ident()), f"process {os.getpid()} on {socket.gethostname()}"
    if held in _held or not is_first():
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The file stays, and names the last process that held it.
        file = (folder / "lock").open("a+")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to: {error.strerror}; mend that and run again") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # File systems without locks have errors of their own.
            if error.errno not in {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}:
                file.seek(0)
                holder = file.read().strip() or "another process"
                if holder == this:
                    holder = "another thread of this process"
                raise InputError(f"{folder}: in use by {holder}; wait for it or end it, then run again") from error
            log.warning("%s: its file system knows no locks; start no second process on it", folder)
        file.truncate(0)
        file.write(f"{this}\n")
        file.flush()
        _held.add(held)
        try:
            yield
        finally:
            _held.discard(held)


def _started(command: Sequence[str], count: int, cores: int, out: int, err: int) -> list[subprocess.Popen[bytes]]:
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    start: Any = partial(subprocess.Popen, stdout=out, stderr=err)
    if "SLURM_JOB_ID" in os.environ and shutil.which("srun"):
        # The first process runs where this one does: on the first machine of the job.
        place = {PLACE: f"srun/{count}@{socket.gethostname()}:{port}"}
        by = ["srun", f"--ntasks={count}", f"--cpus-per-task={cores}", "--kill-on-bad-exit=1", *command]
        return [start(by, env=os.environ | place)]
    places = [{PLACE: f"{number}/{count}@localhost:{port}"} for number in range(count)]
    # Their input ends with this process, however it ends; see `_end_with_launcher`.
    return [start(command, stdin=subprocess.PIPE, env=os.environ | place) for place in places]


def _reach(address: str) -> None:
    """Return once somebody listens at `address`; if nobody does, JAX itself would end the process."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=PATIENCE).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _first_failure(members: Sequence[subprocess.Popen[bytes]], errors: Sequence[str]) -> int:
    """Return the exit code of a process that failed, of a killed one first; 0 if all end well.

    Return 1 if one has reported an error and none has ended `GRACE` seconds later.
    """
    deadline = math.inf
    while time.monotonic() < deadline:
        codes = [member.poll() for member in members]
        if failed := [code for code in codes if code]:
            return min(failed)
        if None not in codes:
            return 0
        if errors:
            deadline = min(deadline, time.monotonic() + GRACE)
        time.sleep(0.1)
    return 1


def _listen(reading: int, stream: TextIO, errors: list[str]) -> None:
    """Pass on what the processes print, but collect their errors, which repeat if they share a cause."""
    with os.fdopen(reading, errors="replace") as lines:
        for line in lines:
            if line.startswith(ERROR):
                errors.append(line.removeprefix(ERROR).strip())
            elif not NOISE.match(line):
                print(line, end="", file=stream, flush=True)


def _end_with_launcher() -> None:
    """End this process when its input ends, since a killed launcher cannot end it."""
    os.read(0, 1)
    os._exit(1)
