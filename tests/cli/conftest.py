"""What every test of the command line uses: files to run on, and the command in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from click.testing import CliRunner, Result

from sanitree.checker.cli import cli
from sanitree.models.snapshot import Snapshot
from sanitree.models.snapshot import write as to_file
from tests.cli.caches import Cache, observe

os.environ.pop("COLUMNS", None)  # workers of pytest-xdist have one, of 80; a test that wants a width sets it


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a cache, or a snapshot, to a file and returns its path."""

    def make(it: Cache | Snapshot, name: str = "tree.json", tokens: Literal["raw", "hashed"] = "raw") -> str:
        path = tmp_path / name
        to_file(observe(it) if isinstance(it, Cache) else it, path, tokens=tokens)
        return str(path)

    return make


@pytest.fixture
def run() -> Callable[..., Result]:
    """Runs the command in this process, in lines too long to wrap unless the test says how long."""

    def go(*args: str) -> Result:
        return CliRunner().invoke(cli, list(args), env={"COLUMNS": os.environ.get("COLUMNS", "300")})

    return go
