"""The command as a process: exits, streams, and what it takes to start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sanitree.checker.cli import COMMANDS, cli
from sanitree.checker.cli.exits import Exit
from tests.cli.caches import big, freed_while_read, small

Run = Callable[..., Result]
Write = Callable[..., str]
COMMAND = [sys.executable, "-m", "sanitree.checker"]


def process(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, env={**os.environ, **env}, timeout=120)


def test_a_process_checks_a_file(write: Write) -> None:
    done = process("check", write(small()))
    assert done.returncode == Exit.HOLDS
    assert "HOLDS" in done.stdout
    assert not done.stderr


def test_a_pipe_is_80_columns_wide_and_breaks_no_word(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 70) / ("b" * 40)
    folder.mkdir(parents=True)
    path = str(Path(write(freed_while_read())).rename(folder / "tree.json"))
    env = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    for words in (["check", path], ["show", path], ["rules"]):
        done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=env, timeout=120)
        lines = done.stdout.splitlines()
        assert words == ["rules"] or lines[0].startswith(path)
        rest = [line for line in lines if path not in line]
        assert 60 < max(map(len, rest)) <= 80


def test_version_and_help() -> None:
    assert process("--version").stdout.startswith("sanitree ")
    help_text = process("--help").stdout
    assert all(name in help_text for name in COMMANDS)
    told = " ".join(help_text.split())
    assert all(f"{int(code)} " in told.partition("Exits: ")[2] for code in Exit)
    assert process().returncode == Exit.USAGE


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["check", "--help"], ["show", "--help"], ["rules"]])
def test_torch_is_not_imported_without_need(words: list[str]) -> None:
    code = (
        "import sys\nfrom sanitree.checker.cli import cli\n"
        f"try: cli.main({words!r})\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules and 'networkx' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_json(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "--json" in (run(name, "list", "--help").stdout if name == "engine" else result.stdout)


@pytest.mark.parametrize("words", [["check"], ["show"], ["rules"], ["engine"], ["engine", "list"]])
def test_help_fits_a_terminal_and_cuts_nothing(words: list[str]) -> None:
    text = process(*words, "--help", COLUMNS="80").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "..." not in text.partition("Options:")[2]


def test_a_reader_that_leaves_is_no_failure(write: Write) -> None:
    path = write(big(2000))
    # `true` reads nothing: every write of ours meets a closed pipe.
    done = subprocess.run(
        ["bash", "-c", '"$@" | true; echo ${PIPESTATUS[0]}', "-", *COMMAND, "show", "--full", path],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() in (str(int(Exit.UNREAD)), "0")
    assert not done.stderr


def test_ctrl_c_ends_it_quietly() -> None:
    code = (
        # A background job of a shell inherits an ignored SIGINT, and so would the tests in one.
        "import signal, time, sanitree.checker.cli.check as c\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def load(_): print('ready', flush=True); time.sleep(60)\n"
        "c.load = load\n"
        "from sanitree.checker.cli import cli\ncli.main(['check', 'x'])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == "ready\n"
        time.sleep(0.1)
        p.send_signal(signal.SIGINT)
        _, told = p.communicate(timeout=60)
    assert p.returncode == Exit.INTERRUPTED
    assert told.strip() == "sanitree: interrupted"


def test_our_own_mistakes_are_said_to_be_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    import sanitree.checker.cli.check as module

    def fail(_: str) -> None:
        raise RuntimeError("off by\none")

    monkeypatch.setattr(module, "load", fail)
    result = CliRunner().invoke(cli, ["check", "x"])
    assert result.exit_code == Exit.FAILED
    assert "RuntimeError: off by one" in result.stderr
    assert "bug in sanitree" in result.stderr
    assert "Traceback" not in result.stderr
    for result in (
        CliRunner().invoke(cli, ["--debug", "check", "x"]),
        CliRunner().invoke(cli, ["check", "x"], env={"SANITREE_DEBUG": "1"}),
    ):
        assert result.exit_code == Exit.FAILED
        assert "Traceback" in result.stderr
    as_json = CliRunner().invoke(cli, ["check", "--json", "x"])
    assert json.loads(as_json.stdout)["exit"] == Exit.FAILED


def test_wrong_words_get_a_hint(run: Run) -> None:
    for words in (["chek"], ["check"], ["check", "--nope", "x"], ["show"], ["diff", "one"], ["engine", "fetch"]):
        result = run(*words)
        assert result.exit_code == Exit.USAGE, words
        assert "--help" in result.stderr, words


def test_what_was_meant_is_said(run: Run, write: Write) -> None:
    for words, told in (
        (["shwo", "x"], "no command is called 'shwo'; did you mean show?"),
        (["show", "a", "b"], "show takes one file, not 2"),
        (["rules", "SOURCE_IS_NOT_FREE"], "did you mean source_is_not_free"),
    ):
        result = run(*words)
        assert result.exit_code == Exit.USAGE
        assert told in result.stderr


def test_engines(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANITREE_HOME", str(tmp_path))
    text = run("engine", "list").stdout
    assert "0.5.12" in text
    assert "not fetched" in text
    assert "sanitree engine setup" in text
    data = json.loads(run("engine", "list", "--json").stdout)
    assert data["dependencies_ready"] is False
    assert all(e["path"] is None for e in data["engines"])
    result = run("engine", "fetch", "../../etc")
    assert result.exit_code == Exit.USAGE
    assert "not a version" in result.stderr


def test_a_home_that_cannot_be_written_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANITREE_HOME", "/dev/null")
    for words in (("engine", "fetch", "0.5.14"), ("engine", "setup")):
        result = run(*words)
        assert result.exit_code == Exit.FAILED
        told = "/dev/null: cannot be written: Not a directory\n  set SANITREE_HOME to a folder that can\n"
        assert result.stderr == f"sanitree: {told}"
    assert "sglang in /dev/null (not a folder: set SANITREE_HOME)" in run("engine", "list").stdout


def test_the_demo_says_at_once_all_that_it_needs(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANITREE_HOME", str(tmp_path / "home"))
    result = run("demo", "--folder", str(tmp_path / "shots"))
    assert result.exit_code == Exit.FAILED
    assert "run `sanitree engine setup` and `sanitree engine fetch 0.5.12 0.5.13.post1`" in result.stderr
    assert not (tmp_path / "shots").exists()


def test_an_engine_that_fails_is_exit_4(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from sanitree.models.engines import store
    from sanitree.models.engines.errors import EngineError

    def fail(version: str, progress: object) -> Path:
        raise EngineError("pip download failed: no network")

    monkeypatch.setattr(store, "fetch", fail)
    result = run("engine", "fetch", "0.5.12")
    assert result.exit_code == Exit.FAILED
    assert "no network" in result.stderr
