"""`sanitree demo` on the real engines."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from sanitree.checker.cli.demo import BROKEN, FIXED
from sanitree.checker.cli.exits import Exit
from tests.engines_here import needs

pytestmark = pytest.mark.engine
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def engines() -> None:
    needs(BROKEN)
    needs(FIXED)


def test_it_goes_as_it_should(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--json", "--nodes", "60", "--folder", str(tmp_path))
    assert result.exit_code == 0, result.stdout
    told = json.loads(result.stdout)
    broken, fixed = told["races"]
    assert (broken["version"], broken["verdict"], broken["wrong"]) == (BROKEN, "violated", 4)
    assert (fixed["version"], fixed["verdict"], fixed["wrong"]) == (FIXED, "holds", 0)
    assert "source_is_not_free[full, device]" in {v["rule"] for v in broken["violations"]}
    assert told["large_tree"]["holds"]
    for part in (broken, fixed, told["large_tree"]):
        assert part["offline"]["same_as_live"]
        assert Path(part["file"]).is_file()


def test_people_are_told(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--nodes", "60", "--folder", str(tmp_path))
    assert result.exit_code == 0, result.stdout
    assert "4 with another prompt's KV bytes" in result.stdout
    assert result.stdout.count("the same as live") == 3
    words = " ".join(result.stdout.replace("│", " ").split())  # lines break anywhere, in a table too
    assert re.search(r"holds: \d+ rules on \d+ instances, none violated", words)
    assert "Look around: sanitree show " in result.stdout


def test_it_names_the_command_as_it_was_called(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [".venv/bin/sanitree"])
    monkeypatch.setattr(shutil, "which", lambda _: None)
    result = run("demo", "--nodes", "60", "--folder", str(tmp_path))
    assert "Look around: .venv/bin/sanitree show " in result.stdout


@pytest.mark.parametrize("folder", ["/proc/xx", "/dev/null/xx", "/proc"])
def test_a_folder_that_cannot_be_written_is_said(run: Run, folder: str) -> None:
    result = run("demo", "--folder", folder)
    assert result.exit_code == Exit.FAILED
    assert result.stderr.startswith(f"sanitree: {folder}: cannot be written: ")
    assert "--folder names another" in result.stderr
