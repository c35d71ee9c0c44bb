"""The command `metaplastic doctor`: what a bug report or a slow run should begin with."""

import json
import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from joblib import cpu_count  # type: ignore[import-untyped]
from packaging.requirements import Requirement
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

from metaplastic.io.jax_settings import ENVIRONMENT, cache_folder
from metaplastic.stages.command import Json
from metaplastic.update_rules.pretrained import PACKAGE

SHOWN = ("jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "scikit-learn", "xarray", "zarr")
"""Packages whose versions are told; the lock covers all."""
LOCK = PACKAGE.parents[1] / "requirements.lock"


def doctor(json_: Json = False) -> None:
    """Tell devices, threads, versions, the cache folder, and whether the packages are those of the lock."""
    found = examined()
    if json_:
        print(json.dumps(found, indent=2))
        return
    widest = max(map(len, found))
    for name, value in found.items():
        print(f"{name:{widest}}  {'; '.join(value) if isinstance(value, list) else value}")


def examined() -> dict[str, str | list[str]]:
    """Return what is found, by the name under which it is told."""
    # Other commands start sooner without it.
    import jax

    folder = cache_folder()
    missing = [f"{name}={value}" for name, value in ENVIRONMENT.items() if os.environ.get(name) != value]
    return {
        "metaplastic": f"{version('metaplastic')} in {PACKAGE}",
        "python": f"{platform.python_version()} at {sys.executable}",
        "system": platform.platform(),
        "devices": [f"{device.platform} {device.id}: {device.device_kind}" for device in jax.devices()],
        "cores": f"{cpu_count()} for this process, of {os.cpu_count()}",
        "threads": [f"{pool['num_threads']} of {pool['internal_api']}" for pool in threadpool_info()],
        "memory": f"in small pages; large ones save up to two fifths of the time: set {' '.join(missing)}"
        if missing
        else "in large pages",
        "cache": f"{folder}{'' if os.access(_there(folder), os.W_OK) else ', which cannot be written'}",
        "packages": [f"{name} {_version(name) or 'is missing'}" for name in SHOWN],
        "lock": compared(LOCK),
    }


def compared(lock: Path) -> str | list[str]:
    """Return how installed packages differ from those of a lock file."""
    if not lock.exists():
        return "none here; it comes with a checkout"
    lines = (line.removesuffix("\\").strip() for line in lock.read_text(encoding="utf-8").splitlines())
    wanted = [Requirement(line) for line in lines if "==" in line and not line.startswith(("-", "#"))]
    needed = [one for one in wanted if one.marker is None or one.marker.evaluate()]
    other = [text for one in needed if (text := _difference(one))]
    return other or f"all {len(needed)} packages are as in {lock}"


def _difference(one: Requirement) -> str:
    installed = _version(one.name)
    found = f"is {installed}" if installed else "is missing"
    return "" if installed and installed in one.specifier else f"{one.name} {found}, {one.specifier} is locked"


def _version(name: str) -> str:
    """Return the version of an installed package, or nothing."""
    with suppress(PackageNotFoundError):
        return version(name)
    return ""


def _there(folder: Path) -> Path:
    """Return a folder, or the one above it that is there already."""
    return next(each for each in (folder, *folder.parents) if each.exists())
