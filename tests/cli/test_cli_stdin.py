"""A snapshot that comes through a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sanitree.checker.cli import cli
from sanitree.checker.cli.exits import Exit
from sanitree.models.snapshot import encode, files
from tests.cli.caches import freed_while_read, observe, small

LEGAL, BROKEN = observe(small()), observe(freed_while_read())


@pytest.mark.parametrize("packed", [False, True])
def test_a_pipe_is_judged_like_a_file(packed: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sanitree.checker", "check", "-"],
        input=encode(BROKEN, tokens="raw", packed=packed), capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == Exit.VIOLATED
    assert done.stdout.startswith(b"standard input  VIOLATED")


def test_other_commands_take_it_too(tmp_path: Path) -> None:
    path = tmp_path / "tree.json"
    path.write_bytes(encode(LEGAL, tokens="raw"))
    show = CliRunner().invoke(cli, ["show", "-"], input=path.read_bytes())
    assert show.exit_code == Exit.HOLDS
    assert show.stdout.startswith("standard input  sglang")
    diff = CliRunner().invoke(cli, ["diff", str(path), "-"], input=path.read_bytes())
    assert diff.stdout.startswith("tree.json → standard input")
    as_json = CliRunner().invoke(cli, ["check", "--json", "-", str(path)], input=path.read_bytes())
    assert [f["file"] for f in json.loads(as_json.stdout)["files"]] == ["-", str(path)]


def test_a_shells_substitution_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tree.json"
    path.write_bytes(encode(BROKEN, tokens="raw"))
    command = f"{sys.executable} -m sanitree.checker check <(cat {path})"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.returncode == Exit.VIOLATED, done.stderr


def test_what_is_wrong_there_is_said() -> None:
    result = CliRunner().invoke(cli, ["check", "-"], input=b"")
    assert result.exit_code == Exit.USAGE
    assert "standard input: the file is empty" in result.stderr


def test_an_endless_stream_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(LEGAL, tokens="raw")
    monkeypatch.setattr(files, "LARGEST", len(data))
    assert CliRunner().invoke(cli, ["check", "-"], input=data).exit_code == Exit.HOLDS
    result = CliRunner().invoke(cli, ["check", "-"], input=data + b" ")
    assert result.exit_code == Exit.USAGE
    assert "standard input: more than" in result.stderr


def test_a_closed_one_is_said() -> None:
    command = f"{sys.executable} -m sanitree.checker check - <&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.returncode == Exit.USAGE
    assert "standard input" in done.stderr
