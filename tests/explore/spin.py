"""SPIN on a Promela text: builds a verifier, runs it, and reads what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MISSING = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
WHY = f"{' and '.join(MISSING)} not found: apt-get install spin gcc"

EXACT = ("-O3", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR", "-DMEMLIM=65536")
"""Every state stored whole: no bit-state hashing, no hash compaction, no partial order. -DBFS: breadth first."""


@dataclass(frozen=True)
class Checked:
    """What a run came to. transitions: those between states; SPIN's own number has one more, to the first state.

    cpu: seconds of the run, of user and system. bytes: memory by SPIN's own count.
    message: what was wrong; empty where nothing was.
    """

    states: int
    transitions: int
    depth: int
    message: str
    cpu: float
    wall: float
    bytes: int


@dataclass(frozen=True)
class Verifier:
    """A built one, and the seconds that took: of spin, and of gcc."""

    path: Path
    build_seconds: float

    def run(self, *arguments: str) -> Checked:
        """Raises AssertionError where the search ended before every state was seen, and nothing was wrong."""
        begun = time.perf_counter()
        with subprocess.Popen(
            [self.path, *arguments], cwd=self.path.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            said = process.stdout.read()
            _, _, used = os.wait4(process.pid, 0)
            process.returncode = 0  # it is gone: nobody else may wait for it
        wall = time.perf_counter() - begun
        wrong = re.search(r"^pan:\d+: (.*?) \(at depth", said, re.MULTILINE)
        assert "max search depth too small" not in said, said
        assert wrong or "Search not completed" not in said, said
        return Checked(
            _number(r"^\s*(\d+) states, stored", said),
            _number(r"^\s*(\d+) transitions", said) - 1,
            _number(r"depth reached (\d+)", said),
            wrong[1] if wrong else "",
            used.ru_utime + used.ru_stime,
            wall,
            int(float(_found(r"^\s*([\d.]+)\s+total actual memory usage", said)) * 2**20),
        )


def _number(pattern: str, text: str) -> int:
    return int(_found(pattern, text))


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, text
    return found[1]


def build(text: str, folder: Path, options: Sequence[str]) -> Verifier:
    """The verifier of a Promela text, in a folder of its own."""
    begun = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pml").write_text(text)
    for command in (["spin", "-a", "model.pml"], ["gcc", *options, "-o", "pan", "pan.c"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return Verifier(folder / "pan", time.perf_counter() - begun)
