"""Several processes that train one thing together, each with devices of its own, on one machine or on many.

The command that is asked for more than one process starts itself again as often, by Slurm's `srun` within a Slurm job,
and ends when they have ended. All hold the same state and do the same, each on its share of the tasks; only the first
of them reads states from the disk and writes to it.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TextIO, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from metaplastic.config.base import short_hash
from metaplastic.io.errors import InputError
from metaplastic.io.memory import OUT_OF_MEMORY

PLACE = "METAPLASTIC_PROCESS"
"""Variable that tells a process its place: `NUMBER/COUNT@HOST:PORT`, the address being the first one's; the number is
`srun` where Slurm tells it, which also shows each of them a GPU of its own."""
PATIENCE = 60
"""Seconds that processes wait for one another at the start."""
GRACE = 2
"""Seconds that processes have to end in once one has told its error: JAX lets none end before the others do."""
ERROR = "error: "
NOISE = re.compile(
    r".*peer ranks|[WEF]\d{4} \S+ +\d+ (preemption_sync|coordination_service|client\.h)"
    r"|Additional GRPC error|:UNKNOWN:Error received|\*\*\* Check failure|    @ +0x"
)
"""Lines in which the libraries below greet one another and mourn a process that has ended, which the launcher tells."""
AGAIN = "run again to go on from the last saved state"

T = TypeVar("T")


def launch(count: int, *, cores: int) -> None:
    """Run this process's own command line in `count` processes of so many cores until all have ended.

    Raises:
        InputError: one of them has failed, which ends the others; the error is the one of theirs to mend, once.
    """
    errors: list[str] = []
    pipes, streams = [os.pipe(), os.pipe()], (sys.stdout, sys.stderr)
    members = _started([sys.executable, *sys.orig_argv[1:]], count, cores, [writing for _, writing in pipes])
    listeners = []
    for (reading, writing), stream in zip(pipes, streams, strict=True):
        os.close(writing)
        listeners.append(threading.Thread(target=_listen, args=(reading, stream, errors)))
        listeners[-1].start()
    try:
        code = _first_failure(members, errors)
    finally:
        for member in members:
            member.kill()
            member.wait()
        for listener in listeners:
            listener.join()
    if code == 0:
        return
    if code < 0:
        raise InputError(f"one of {count} processes was ended by {signal.Signals(-code).name}; {AGAIN}")
    raise InputError(errors[0] if errors else f"one of {count} processes ended with exit code {code}; {AGAIN}")


def is_launched() -> bool:
    """Whether this process is one of several that `launch` has started."""
    return PLACE in os.environ


def join() -> bool:
    """Make this process, if it is one of several, find the others; false if it is none.

    Raises:
        InputError: it cannot reach them, or its place cannot be read.
    """
    if not is_launched():
        return False
    place = os.environ[PLACE]
    try:
        position, _, address = place.partition("@")
        name, _, count = position.partition("/")
        number = int(os.environ.get("SLURM_PROCID", "") if name == "srun" else name)
        if name != "srun":
            threading.Thread(target=_end_with_launcher, daemon=True).start()
        if number:
            _reach(address)
        own = None if name == "srun" else [number]
        jax.distributed.initialize(address, int(count), number, own, initialization_timeout=PATIENCE)
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{PLACE} {place}: the processes do not find one another ({reason}); {AGAIN}") from error
    return True


def is_first() -> bool:
    """Whether this process is the one that reads and writes, as one alone is."""
    return jax.process_index() == 0


def from_first(number: int) -> int:
    """What the first process calls this with."""
    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def check_equal(record: Mapping[str, str]) -> None:
    """Let processes pass that are of one config, code and data, and of equal versions.

    To be called before anything is compiled: in what they first do together JAX waits half a minute for the others, and
    what the first one has kept of earlier programs the others have to compile.

    Raises:
        InputError: they are not; the first entry of `record` that differs is named.
    """
    mine = np.array([int(short_hash(value), 16) % 2**31 for value in record.values()], np.int32)
    of_all = multihost_utils.process_allgather(mine)
    for name, values in zip(record, np.atleast_2d(of_all).T, strict=True):
        if (values != values[0]).any():
            number = int(np.argmax(values != values[0]))
            mend = "start both from one checkout and environment"
            raise InputError(f"{name}: process {number} has another one than process 0; {mend}")


@contextmanager
def together() -> Iterator[None]:
    """What several processes do; that one cannot reach another, which has ended, becomes one line."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1 or OUT_OF_MEMORY in str(error):
            raise
        raise InputError(f"another process has ended ({' '.join(str(error).split())}); {AGAIN}") from error


def shared_out(tree: T, sharding: NamedSharding) -> T:
    """`tree`, equal in every process or laid out over them otherwise, laid out so over the devices of all."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def laid_out(array: Any) -> jax.Array:
        if isinstance(array, jax.Array) and not array.is_fully_addressable:
            moved: jax.Array = _moving(sharding)(array)
            return moved
        if jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(laid_out(jax.random.key_data(array)), impl=jax.random.key_impl(array))
        here = np.asarray(array)
        return jax.make_array_from_callback(here.shape, sharding, here.__getitem__)

    laid: T = jax.tree.map(laid_out, tree)
    return laid


def whole(tree: T, mesh: Mesh) -> T:
    """`tree` with every array whole in this process, wherever on `mesh` its parts lie."""
    if jax.process_count() == 1:
        return tree
    everywhere = NamedSharding(mesh, PartitionSpec())  # type: ignore[no-untyped-call]
    gathered: T = jax.tree.map(lambda array: array.addressable_data(0), _moving(everywhere)(tree))
    return gathered


@cache
def _moving(sharding: NamedSharding) -> Callable[[Any], Any]:
    """The program that lays arrays out so; one, since another would be compiled again at every dispatch."""
    moving: Callable[[Any], Any] = jax.jit(lambda tree: tree, out_shardings=sharding)
    return moving


def _started(command: Sequence[str], count: int, cores: int, pipes: Sequence[int]) -> list[subprocess.Popen[bytes]]:
    output, errors = pipes
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    if "SLURM_JOB_ID" in os.environ and shutil.which("srun"):
        # The first of them runs where this does: on the first machine of the job.
        place = f"srun/{count}@{socket.gethostname()}:{port}"
        by = ["srun", f"--ntasks={count}", f"--cpus-per-task={cores}", "--kill-on-bad-exit=1", *command]
        return [subprocess.Popen(by, stdout=output, stderr=errors, env=os.environ | {PLACE: place})]
    return [
        # Its input is what it ends with.
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=errors,
            env=os.environ | {PLACE: f"{number}/{count}@localhost:{port}"},
        )
        for number in range(count)
    ]


def _reach(address: str) -> None:
    """Return once somebody listens at `address`; JAX itself would end the process where nobody does."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=PATIENCE).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _first_failure(members: Sequence[subprocess.Popen[bytes]], errors: Sequence[str]) -> int:
    """Exit code of the one that failed, of one that was killed before one that only misses it; 0 if all end well.

    1 as soon as one has told an error and `GRACE` has passed.
    """
    deadline = None
    while True:
        codes = [member.poll() for member in members]
        if failed := [code for code in codes if code]:
            return min(failed)
        if None not in codes:
            return 0
        if errors:
            deadline = deadline or time.monotonic() + GRACE
            if time.monotonic() > deadline:
                return 1
        time.sleep(0.1)


def _listen(reading: int, stream: TextIO, errors: list[str]) -> None:
    """Pass on what the processes say, but keep their errors: all that fail for one reason say the same."""
    with os.fdopen(reading, errors="replace") as lines:
        for line in lines:
            if line.startswith(ERROR):
                errors.append(line.removeprefix(ERROR).strip())
            elif not NOISE.match(line):
                print(line, end="", file=stream, flush=True)


def _end_with_launcher() -> None:
    """A launcher that was killed cannot end the processes, but their inputs end with it."""
    os.read(0, 1)
    os._exit(1)
