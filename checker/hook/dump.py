"""Dumps: a folder with a snapshot of the cache, what was found, and the operations that led there.

    snapshot.json.gz   what `sanitree check` and `sanitree show` open; they take the folder too
    report.json        engine, settings, violations with their stacks, the last operations
    report.txt         the same violations, to read

A folder appears whole or not at all. Tokens are salted hashes unless raw ones are asked for.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sanitree.models.snapshot import Snapshot, write

_NUMBERS = itertools.count(1)
"""Of the process: it may watch several caches, and names do not collide."""

SNAPSHOT, REPORT, TEXT = "snapshot.json.gz", "report.json", "report.txt"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a process may leave behind: dumps, their bytes in all, and seconds between two."""

    dumps: int = 8
    bytes: int = 1 << 30
    seconds: float = 10.0


class Dumps:
    """The dumps of one process, in one folder. `write` says where one lies, or why there is none."""

    def __init__(self, folder: Path, limits: Limits = Limits(), tokens: Literal["hashed", "raw"] = "hashed") -> None:
        self._folder, self._limits, self._tokens = folder, limits, tokens
        self._written, self._bytes, self._last = 0, 0, float("-inf")

    def room(self) -> bool:
        """Whether another is allowed now."""
        soon = time.monotonic() - self._last < self._limits.seconds
        return self._written < self._limits.dumps and self._bytes < self._limits.bytes and not soon

    def write(self, snapshot: Snapshot | None, report: Mapping[str, Any], texts: Iterable[str], why: str) -> Path:
        """Writes one. snapshot: None where none could be taken. Raises OSError where the system fails."""
        self._written += 1
        self._last = time.monotonic()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        name = f"sanitree-{stamp}-{rank()}-pid{os.getpid()}-{next(_NUMBERS)}-{why}"
        draft, final = self._folder / f".{name}", self._folder / name
        draft.mkdir(parents=True)
        try:
            (draft / REPORT).write_text(json.dumps(report, indent=1) + "\n")
            (draft / TEXT).write_text("\n\n".join(texts) + "\n")
            if snapshot is not None:
                write(snapshot, draft / SNAPSHOT, tokens=self._tokens)
            draft.rename(final)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        self._bytes += sum(f.stat().st_size for f in final.iterdir())
        return final


def rank() -> str:
    """The process among those of one server: "rank3", or "rank0" where nothing is distributed."""
    import torch.distributed as distributed

    here = distributed.is_available() and distributed.is_initialized()
    return f"rank{distributed.get_rank() if here else 0}"
