"""`sanitree hunt` on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sanitree.checker.cli import cli
from sanitree.models.driving.trace import read
from tests.engines_here import needs


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, ["hunt", *args], env={"COLUMNS": "200"})


BROKEN = ("--on", "reference", "--policy", "write_back", "--fault", "evict_does_not_wait", "--jobs", "1")


def test_people_are_told(tmp_path: Path) -> None:
    result = run(*BROKEN, "--budget", "2", "--save", str(tmp_path))
    assert result.exit_code == 1, result.output
    for words in (
        "the reference cache with evict_does_not_wait, write_back, full", "1 finding in",
        "pending_write_keeps_its_source", "start [1]", "sanitree replay", "the cache's own check complains too",
    ):  # fmt: skip
        assert words in result.output
    (file,) = tmp_path.iterdir()
    trace = read(file)
    assert trace.on == "reference" and trace.found is not None and trace.found.kind == "rule"
    assert trace.operations[0].result == "0 shared, 0 of them loaded, 1 computed"


def test_machines_are_told() -> None:
    result = run(*BROKEN, "--budget", "2", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == told["exit"] == 1
    assert told["verdict"] == "violated" and told["operations"] > 0 and told["seconds"] > 0
    (finding,) = told["findings"]
    assert finding["confirmed"] and "write_back_is_finished" in finding["rules"]
    assert finding["trace"]["format"] == "sanitree-trace" and len(finding["trace"]["operations"]) <= 4
    assert finding["own_check"] == "same"


def test_nothing_found_is_said_as_that() -> None:
    result = run("--on", "reference", "--budget", "1", "--jobs", "1")
    assert result.exit_code == 0, result.output
    assert "nothing found in" in result.output and "states" in result.output
    assert "hold" not in result.output and "correct" not in result.output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--on", "reference", "--fault", "nonsense"), "no fault is called 'nonsense'"),
        (("--on", "reference", "--fault", "evict_does_not_wait"), "cannot show under write_through with full"),
        (("--on", "reference", "--core", "rust"), "the reference cache has one core"),
        (("--on", "0.5.12", "--fault", "duplicates_leak"), "--fault is of the reference cache"),
        (("--on", "0.4.1"), "0.4.1"),
        (("--on", "nonsense"), "nonsense"),
        (("--on", "reference", "--components", "swa"), "one per-token backbone"),
        (("--on", "reference", "--budget", "0"), "budget"),
        ((), "--on"),
    ],
)
def test_what_makes_no_sense_is_refused(args: tuple[str, ...], words: str) -> None:
    result = run(*args)
    assert result.exit_code == 2, result.output
    assert words in result.output


@pytest.mark.parametrize(
    ("args", "code"), [(BROKEN, 1), pytest.param(("--on", "reference", "--jobs", "1"), 130, marks=pytest.mark.slow)]
)
def test_interrupted_it_tells_what_it_has(args: tuple[str, ...], code: int) -> None:
    command = [sys.executable, "-m", "sanitree.checker", "hunt", *args, "--budget", "100", "--json"]
    restored = "import signal, os, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    script = restored + f"from sanitree.checker.cli import cli; sys.argv = {['sanitree', *command[3:]]!r}; cli.main()"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(25)  # time enough to find and confirm, also beside other tests
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    told = json.loads(out)
    assert told["interrupted"] and told["operations"] > 0
    assert len(told["findings"]) == (code == 1)


@pytest.mark.engine
@pytest.mark.slow
def test_the_first_bug_is_found_in_the_engine_that_had_it() -> None:
    needs("0.5.12")
    told = json.loads(run("--on", "0.5.12", "--policy", "write_back", "--budget", "10", "--jobs", "1", "--json").stdout)
    found = [f for f in told["findings"] if "pending_write_keeps_its_source" in f["rules"]]
    assert told["verdict"] == "violated" and found and found[0]["confirmed"] and found[0]["length"] <= 4
