"""The cache folder: engines as their index ships them, one folder a version.

    <home>/engines/sglang-<version>/    the wheel's sglang/ package and its dist-info
    <home>/engine-deps/<hash>/          see `deps`

`<home>` is $SANITREE_HOME, else ~/.cache/sanitree. A version is there or it is not: it is
unpacked elsewhere and renamed into place, so a fetch that was interrupted leaves nothing.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path, PurePosixPath

from sanitree.models.engines.errors import EngineError, EngineMissing

# The versions whose tiered cache this package knows how to drive and observe.
KNOWN_VERSIONS = (
    "0.5.12",
    "0.5.12.post1",
    "0.5.13",
    "0.5.13.post1",
    "0.5.14",
    "0.5.15",
    "0.5.15.post1",
    "0.5.16",
    "0.5.17",
    "0.5.18",
    "0.5.19",
    "0.5.20",
    "0.5.21",
    "0.5.22",
    "0.5.23",
)

KNOWN = f"{KNOWN_VERSIONS[0]} to {KNOWN_VERSIONS[-1]}"

Progress = Callable[[str], None]
"""Told one line at the start of each step that can take seconds."""

_VERSION = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,6}){1,3}(?:(?:a|b|rc)[0-9]{1,4})?(?:\.post[0-9]{1,4})?")
# What a running engine may call itself, too: a build of a branch, or for one CUDA.
_REPORTED = re.compile(
    r"([0-9]{1,4}(?:\.[0-9]{1,6}){1,3})(?:(a|b|rc)([0-9]{1,4}))?(?:\.post([0-9]{1,4}))?"
    r"(?:\.dev([0-9]{1,6}))?(?:\+[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*)?"
)
_MAX_UNPACKED = 2 << 30  # bytes; the largest known wheel unpacks to 140 MB


def quiet(_line: str) -> None:
    """The progress callback that says nothing."""


@dataclass(frozen=True, slots=True)
class EngineInstall:
    """A version in the cache folder; `size` is in bytes of its files."""

    version: str
    path: Path
    has_rust_core: bool
    size: int


def home() -> Path:
    """The cache folder; it need not exist."""
    named = os.environ.get("SANITREE_HOME")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "sanitree"


def checked(version: str) -> str:
    """`version` itself if it is a plain release number, or an `EngineError`.

    It becomes part of a path and of pip's command line, so nothing else gets through.
    """
    if not _VERSION.fullmatch(version):
        raise _no_version(version)
    return version


def _no_version(text: str) -> EngineError:
    return EngineError(f"not a version: {text!r} (for example {KNOWN_VERSIONS[-1]})")


@cache  # asked for each state that is looked at
def version_key(version: str) -> tuple[tuple[int, ...], tuple[int, int], int, float]:
    """Sorts versions: 0.5.9 < 0.5.12.dev3 < 0.5.12rc1 < 0.5.12 = 0.5.12+cu128 < 0.5.12.post1 < 0.5.13."""
    found = _REPORTED.fullmatch(version)
    if not found:
        raise _no_version(version)
    number, letter, pre, post, dev = found.groups()
    release = tuple(int(part) for part in number.split("."))
    stage = (("a", "b", "rc").index(letter), int(pre)) if letter else (3, 0) if post or not dev else (-1, 0)
    return release, stage, int(post) if post else -1, int(dev) if dev else math.inf


def at_least(version: str, floor: str) -> bool:
    """Whether `version` is `floor` or later."""
    return version_key(version) >= version_key(floor)


def within(version: str, first: str, until: str | None) -> bool:
    """Whether `version` is `first` or later, and before `until` where there is one."""
    return at_least(version, first) and (until is None or not at_least(version, until))


def refuse_older(version: str) -> None:
    """Raises an `EngineError` for a version from before the first that is known."""
    if not at_least(version, KNOWN_VERSIONS[0]):
        raise EngineError(f"sglang {version} is older than the versions that sanitree knows ({KNOWN})")


def installed() -> list[EngineInstall]:
    """The versions in the cache folder, oldest first."""
    root = home() / "engines"
    found = []
    for path in root.glob("sglang-*") if root.is_dir() else ():
        version = path.name.removeprefix("sglang-")
        if _VERSION.fullmatch(version) and (path / "sglang" / "__init__.py").is_file():
            found.append(_install(version, path))
    return sorted(found, key=lambda install: version_key(install.version))


def find(version: str) -> EngineInstall:
    """The fetched `version`; `EngineMissing` says how to get it."""
    path = _place(version)
    if not (path / "sglang" / "__init__.py").is_file():
        raise EngineMissing(f"sglang {version} is not fetched: run `sanitree engine fetch {version}`")
    return _install(version, path)


def fetch(version: str, progress: Progress = quiet) -> Path:
    """The folder that holds `version`, downloaded with pip if it is not there yet.

    Its dependencies are not downloaded. Raises `EngineError` if pip or the wheel fails.
    """
    place = _place(version)
    refuse_older(version)
    if (place / "sglang" / "__init__.py").is_file():
        progress(f"sglang {version} is already here")
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=place.parent) as scratch:
        wheels, unpacked = Path(scratch, "wheel"), Path(scratch, "unpacked")
        progress(f"downloading sglang {version}")
        # Wheels only: a source distribution would run its build script. They are tagged for
        # CPython 3.11, and all but the Rust core in them is plain Python.
        try:
            pip("download", "--no-deps", "--only-binary=:all:", "--python-version=3.11",
                "--implementation=cp", "--abi=cp311", "--dest", str(wheels), f"sglang=={version}")  # fmt: skip
        except NotInIndex:
            known = "`sanitree engine list` shows the known versions"
            raise NotInIndex(f"sglang {version} is not in your package index; {known}") from None
        found = list(wheels.glob("sglang-*.whl"))
        if len(found) != 1:
            raise EngineError(f"pip brought {len(found)} wheels for sglang {version}, expected one")
        progress(f"unpacking sglang {version}")
        _unpack(found[0], unpacked)
        if not (unpacked / "sglang" / "__init__.py").is_file():
            raise EngineError(f"the wheel of sglang {version} holds no sglang package")
        put_in_place(unpacked, place)
    return place


class NotInIndex(EngineError):  # noqa: N818 (reads as what happened)
    """The package index was reached and lacks what was asked for."""


def pip(*arguments: str) -> None:
    """Runs pip of this interpreter; its failure becomes one `EngineError`."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        reason = " ".join(told).removeprefix("ERROR: ") or f"exit status {done.returncode}"
        reason = re.sub(r" \(from versions: [^)]*\)", "", reason)
        lacking = "No matching distribution found" in done.stderr
        if lacking and any("Retrying" in line for line in lines):
            # Pip says the same of an index that it could not reach.
            raise EngineError(f"pip {arguments[0]} failed: the package index cannot be reached")
        raise (NotInIndex if lacking else EngineError)(f"pip {arguments[0]} failed: {reason[:400]}")


def _place(version: str) -> Path:
    return home() / "engines" / f"sglang-{checked(version)}"


def _install(version: str, path: Path) -> EngineInstall:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    cores = path / "sglang" / "srt" / "mem_cache" / "rust_tree_core"
    # Built for another interpreter, the core is as good as absent.
    has_core = any(cores.glob(f"*{EXTENSION_SUFFIXES[0]}"))
    return EngineInstall(version, path, has_core, size)


def _unpack(wheel: Path, target: Path) -> None:
    """The sglang package and its metadata; a member that points elsewhere is an error."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.infolist() if _wanted(member)]
            if sum(member.file_size for member in members) > _MAX_UNPACKED:
                raise EngineError(f"{wheel.name} unpacks to more than {_MAX_UNPACKED >> 30} GiB")
            for member in members:
                archive.extract(member, target)
    except (zipfile.BadZipFile, OSError) as error:
        raise EngineError(f"cannot unpack {wheel.name}: {error}") from error


def _wanted(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
        raise EngineError(f"the wheel holds a path outside itself: {member.filename!r}")
    top = path.parts[0] if path.parts else ""
    if top != "sglang" and not (top.startswith("sglang-") and top.endswith(".dist-info")):
        return False
    if stat.S_ISLNK(member.external_attr >> 16):
        raise EngineError(f"the wheel holds a link: {member.filename!r}")
    return True


def put_in_place(unpacked: Path, place: Path) -> None:
    """Puts a finished folder in its place; a process that was faster wins."""
    try:
        unpacked.rename(place)
    except OSError as error:
        if not place.is_dir():
            raise EngineError(f"cannot create {place}: {error}") from error
        shutil.rmtree(unpacked, ignore_errors=True)
