"""A Slurm cluster of two nodes, both of them this machine, with everything it writes in one folder."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "squeue", "scontrol")
NODES = ("node1", "node2")
# GPUs in name alone. Memory is what jobs may ask for, and what a job is ended for taking more than.
CONFIG = """
ClusterName=metaplastic
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/%n/slurmd.pid
SlurmdLogFile={folder}/%n/slurmd.log
SlurmdSpoolDir={folder}/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MinJobAge=3600
EnforcePartLimits=ALL
ReturnToService=1
InactiveLimit=0
KillWait=2
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory={memory} Gres=gpu:1
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory={memory} Gres=gpu:1
PartitionName=main Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
PartitionName=paid Nodes=node1,node2 AllowAccounts=lab MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs of Slurm that are not installed here."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Cluster:
    """Started and stopped as a context manager; `environment` is what commands run with that are to find it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Slurm's own variables do not reach the programs of a job, so that there is a `srun` that knows the file.
        programs = folder / "bin"
        path = [str(programs), os.environ.get("PATH", os.defpath)]
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": os.pathsep.join(path)}
        self.daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        for name in ("munge", "state", "bin", *NODES):
            (self.folder / name).mkdir(parents=True)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 - 1000
        told = {"host": socket.gethostname(), "user": _user(), "ports": _free_ports(3), "memory": memory}
        (self.folder / "slurm.conf").write_text(CONFIG.format(folder=self.folder, **told))
        (self.folder / "gres.conf").write_text(f"NodeName={','.join(NODES)} Name=gpu File=/dev/null\n")
        wrapper = self.folder / "bin/srun"
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        wrapper.chmod(0o755)
        munge = self.folder / "munge"
        munge.chmod(0o711)
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o400)
        names = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self._start("munged", "--foreground", "--force", *(f"--{key}={munge / file}" for key, file in names.items()))
        self._start("slurmctld", "-D")
        for node in NODES:
            self._start("slurmd", "-D", "-N", node)
        try:
            self.wait(lambda: self.run("sinfo", "--noheader", "--format=%T", "--partition=main").split() == ["idle"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # Jobs of a test that was broken off would outlive the daemons.
        self.cancel()
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        # Of a node that was taken down Slurm has forgotten what ran there.
        for program in self.programs():
            with suppress(psutil.NoSuchProcess):
                program.kill()

    def programs(self) -> list[psutil.Process]:
        """What runs of jobs and of whoever has submitted them, by the environment that they have in common."""
        folder = str(self.folder / "bin")
        processes = psutil.process_iter(["environ"])
        return [process for process in processes if folder in (process.info["environ"] or {}).get("PATH", "")]

    def run(self, *command: str) -> str:
        """What a command of Slurm prints; nothing if it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout

    def cancel(self) -> None:
        """End every job, its programs too."""
        self.run("scancel", f"--user={_user()}")
        self.wait(lambda: not self.run("squeue", "--noheader"))

    def jobs(self) -> dict[int, dict[str, str]]:
        """Every job so far by its number: what Slurm tells of it, `JobState` and `Comment` among others."""
        lines = self.run("scontrol", "--oneliner", "show", "jobs").splitlines()
        told = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines if "JobId" in line]
        return {int(job["JobId"]): job for job in told}

    def wait(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Until `condition` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{(self.folder / 'slurmctld.log').read_text()[-2000:]}")
            time.sleep(0.5)

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as output:
            self.daemons.append(
                subprocess.Popen(command, env=self.environment, stdout=output, stderr=subprocess.STDOUT)
            )


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
