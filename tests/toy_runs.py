"""Runs of a toy program in processes of their own, and whether two of them are equal."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from metaplastic.training.checkpoint import read_history
from safetensors.numpy import load_file


class Runs:
    """Runs of one program that share what they compile."""

    def __init__(self, folder: Path, program: str = "toy_run.py") -> None:
        self.folder, self.program = folder, Path(__file__).with_name(program)
        self.environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }

    def start(self, name: str, *arguments: str, devices: int = 1) -> subprocess.Popen[str]:
        command = [sys.executable, str(self.program), str(self.folder / name), *arguments]
        environment = {**self.environment, "JAX_NUM_CPU_DEVICES": str(devices)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=environment, text=True, **pipes)

    def finish(self, name: str, *arguments: str, devices: int = 1) -> str:
        process = self.start(name, *arguments, devices=devices)
        output, self.said = process.communicate()
        assert process.returncode == 0, self.said
        return output

    def theta(self, name: str) -> np.ndarray:
        return load_file(self.folder / name / "snapshots/step-000012.safetensors")["rates"]

    def assert_equal(self, name: str, other: str) -> None:
        first, second = (self.folder / run for run in (name, other))
        for pattern in ("*.safetensors", "snapshots/*.safetensors"):
            names = {path.relative_to(first) for path in first.glob(pattern)}
            assert names == {path.relative_to(second) for path in second.glob(pattern)} != set()
            for file in names:
                assert (first / file).read_bytes() == (second / file).read_bytes(), file
        assert read_history(first / "history.zarr").identical(read_history(second / "history.zarr"))
        assert not list(second.rglob("*.tmp"))
