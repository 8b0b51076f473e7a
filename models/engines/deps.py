"""What engines import besides torch, at exact versions, in a folder of their own.

    <home>/engine-deps/<hash of the lock>/

Only a process that runs a fetched engine puts that folder on `sys.path`, and at the front:
the pins are one consistent set, while a second copy of one of them in the user's
environment is of any version, and half of one and half of the other is how imports break.
Nothing that torch or sanitree bring is in the lock, so neither is ever shadowed.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from sanitree.models.engines.errors import EngineMissing
from sanitree.models.engines.store import Progress, home, pip, put_in_place, quiet

LOCK = Path(__file__).with_name("requirements.lock")

_DONE = ".complete"


def lock_hash() -> str:
    """Names the folder: the lock, and the interpreter its binary wheels were chosen for."""
    interpreter = f"{sys.implementation.cache_tag}-{sys.platform}"
    return hashlib.sha256(LOCK.read_bytes() + interpreter.encode()).hexdigest()[:16]


def place() -> Path:
    """Where the dependencies are or would be."""
    return home() / "engine-deps" / lock_hash()


def ready() -> bool:
    """Whether `setup` has nothing left to do."""
    return (place() / _DONE).is_file()


def setup(progress: Progress = quiet) -> Path:
    """Installs the lock, without dependencies of dependencies, and returns the folder.

    Returns at once where it is already there. Raises `EngineError` if pip fails.
    """
    target = place()
    if ready():
        progress("engine dependencies are already here")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".setup-", dir=target.parent) as scratch:
        folder = Path(scratch, "deps")
        progress(f"installing {len(pins())} packages that engines import")
        pip("install", "--no-deps", "--only-binary=:all:", "--no-warn-conflicts",
            "--target", str(folder), "--requirement", str(LOCK))  # fmt: skip
        (folder / _DONE).touch()
        put_in_place(folder, target)
    return target


def find() -> Path:
    """The folder of an earlier `setup`; `EngineMissing` says how to make it."""
    if not ready():
        raise EngineMissing("engine dependencies are not installed: run `sanitree engine setup`")
    return place()


def pins() -> dict[str, str]:
    """The lock as package to version."""
    lines = (line.split("#")[0].strip() for line in LOCK.read_text().splitlines())
    return {name: version for name, _, version in (line.partition("==") for line in lines if line)}
