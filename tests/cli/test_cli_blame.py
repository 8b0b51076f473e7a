"""`sanitree blame` and `sanitree explore --from`: what they say, exit with, and refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from click.testing import Result

from sanitree.invariants.vocabulary import FULL, Policy
from sanitree.models.snapshot import Snapshot, write
from tests.blame.corrupting import corrupted, healthy

Run = Callable[..., Result]


@cache
def broken() -> Snapshot:
    found = (corrupted("evict_does_not_wait", Policy.WRITE_BACK, (FULL,), seed) for seed in range(8))
    return next(c for c in found if c is not None).report.snapshot


@pytest.fixture
def bad(tmp_path: Path) -> str:
    write(broken(), tmp_path / "bad.json", tokens="raw")
    return str(tmp_path / "bad.json")


@pytest.fixture
def good(tmp_path: Path) -> str:
    write(healthy(Policy.WRITE_BACK, (FULL,), 1), tmp_path / "good.json", tokens="hashed")
    return str(tmp_path / "good.json")


def test_the_story(run: Run, bad: str) -> None:
    result = run("blame", bad)
    assert result.exit_code == 1, result.output
    words = " ".join(result.output.split())
    assert "1. evict does not wait" in words
    assert "a fault known by name: evict() returns, and frees device slots" in words
    assert "before, a legal tree" in words
    assert "write_back of node" in words
    assert "after, as it was found" in words


@pytest.mark.parametrize(("columns", "beside"), [("79", False), ("160", True)])
def test_the_trees_are_side_by_side_where_there_is_room(
    run: Run, bad: str, monkeypatch: pytest.MonkeyPatch, columns: str, beside: bool
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    told = run("blame", bad, "--limit", "1").output.splitlines()
    (before,) = (i for i, line in enumerate(told) if "before, a legal tree" in line)
    (after,) = (i for i, line in enumerate(told) if "after, as it was found" in line)
    assert (before == after) is beside
    assert all(len(line) <= int(columns) for line in told if bad not in line)


def test_json(run: Run, bad: str) -> None:
    told = json.loads(run("blame", bad, "--json", "--call", "evict").output)
    assert told["exit"] == 1
    first = told["explanations"][0]
    assert (first["assumes"], first["name"]) == ("fault", "evict_does_not_wait")
    assert first["moves"][0]["action"] == "write_back"
    assert told["complete"]
    assert told["asked"] > 0


def test_a_call_that_cannot_have_done_it(run: Run, bad: str) -> None:
    result = run("blame", bad, "--call", "match_prefix")
    assert result.exit_code == 3
    assert "explains it from a legal tree" in " ".join(result.output.split())


def test_a_legal_tree(run: Run, good: str) -> None:
    result = run("blame", good)
    assert (result.exit_code, result.output.strip()) == (0, "every rule holds: there is nothing to blame")
    assert json.loads(run("blame", good, "--json").output)["explanations"] == []


def test_what_is_refused(run: Run, bad: str, tmp_path: Path) -> None:
    assert "has no node 999" in run("blame", bad, "--node", "999").output
    assert "there is no such file" in run("blame", str(tmp_path / "none.json")).output
    assert run("blame", bad, "--call", "eat").exit_code == 2
    (tmp_path / "no.json").write_text("{}")
    result = run("blame", str(tmp_path / "no.json"))
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_what_may_come_after_a_snapshot(run: Run, good: str) -> None:
    pytest.importorskip("numba", reason="the explorer is the extra [explore]")
    told = json.loads(run("explore", "--from", good, "--steps", "2", "--json").stdout)
    assert (told["verdict"], told["exit"], told["depth"], told["stopped"]) == ("inconclusive", 3, 2, "2 moves")
    assert told["states"] > 1
    assert not told["violation"]


def test_a_fault_from_a_snapshot_on(run: Run, good: str) -> None:
    pytest.importorskip("numba", reason="the explorer is the extra [explore]")
    result = run("explore", "--from", good, "--steps", "5", "--fault", "evict_does_not_wait")
    assert result.exit_code == 1, result.output
    assert "is violated after" in result.output


def test_what_does_not_go_with_from(run: Run, good: str, bad: str) -> None:
    pytest.importorskip("numba", reason="the explorer is the extra [explore]")
    result = run("explore", "--from", good, "--policy", "write_back")
    assert (result.exit_code, "--policy does not go with --from: leave it out" in result.output) == (2, True)
    assert "give --from too" in run("explore", "--node", "3").output
    refused = run("explore", "--from", bad, "--steps", "2")
    assert refused.exit_code == 2
    assert "no legal state is like that" in refused.output
    assert "sanitree blame" in refused.output
