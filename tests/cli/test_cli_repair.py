"""`sanitree repair`: the shortest statement of what is wrong, in words and as JSON; what is typed wrongly is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from sanitree.checker.cli.exits import Exit
from sanitree.invariants.vocabulary import DEVICE, FULL
from sanitree.models.snapshot import Snapshot
from tests.cli.caches import freed_while_read, observe, small
from tests.drafts import Draft

Run = Callable[..., Result]
Write = Callable[..., str]


def text(result: Result) -> str:
    return " ".join(result.stdout.split())


def leaked() -> Snapshot:
    """A slot that no list names any more."""
    d = Draft.read(observe(small()))
    d.nodes.of("holds", FULL, DEVICE)[2].pop()
    return d.snapshot()


def miscounted() -> Snapshot:
    d = Draft.read(observe(small()))
    d.tree("evictable_size", FULL)[0] += 3
    return d.snapshot()


def test_one_change_is_told_of_its_element(run: Run, write: Write) -> None:
    result = run("repair", write(miscounted()))
    assert result.exit_code == Exit.VIOLATED
    told = text(result)
    assert "VIOLATED 1 violation of 1 rule" in told
    assert "1 change makes every rule hold" in told
    assert "~ the tree as a whole: full evictable size 5 → 2" in told
    assert "there is no other repair of this size" in told
    assert "tokens" not in told  # a node without a copy has no slots, whatever the counter says
    assert "evictable size: the counter of unlocked device slots" in told


def test_all_of_the_smallest_size_are_told(run: Run, write: Write) -> None:
    told = text(run("repair", write(leaked())))
    assert "~ slot 6 of the full device pool: in tree 0 → 1; by node 1 or another" in told
    assert "or ~ slot 6 of the full device pool: held 0 → 1" in told
    assert "these are all repairs of this size: 2 repairs" in told


def test_more_than_the_limit(run: Run, write: Write) -> None:
    path = write(leaked())
    told = text(run("repair", path, "--limit", "1"))
    assert "there are more of this size than 1 (--limit 0 looks for all)" in told
    data = json.loads(run("repair", path, "--limit", "1", "--json").stdout)
    assert (len(data["repairs"]), data["complete"]) == (1, False)


def test_a_write_that_nobody_waited_for_is_told_as_over(run: Run, write: Write) -> None:
    told = text(run("repair", write(freed_while_read())))
    assert "2 changes make every rule hold, and no fewer do" in told
    assert "~ node 6 [500 501]: write pending true → false" in told
    assert "~ write 2 of node 6: in flight true → false" in told


def test_slots_that_change_alike_are_on_one_line(run: Run, write: Write) -> None:
    d = Draft.read(observe(small()))
    d.tree.of("free", FULL, DEVICE)[0] += [1, 2, 5]
    d.tree("available", FULL, DEVICE)[0] += 3
    told = text(run("repair", write(d.snapshot())))
    assert "~ slots 1-2, 5 of the full device pool: free 1 → 0" in told


def test_as_json(run: Run, write: Write) -> None:
    path = write(freed_while_read())
    result = run("repair", path, "--json")
    assert result.exit_code == Exit.VIOLATED
    data = json.loads(result.stdout)
    assert data["file"] == path
    assert data["exit"] == Exit.VIOLATED
    assert data["size"] == data["at_least"] == 2
    assert data["complete"] is True
    assert "source_is_not_free" in data["rules"]
    assert data["repairs"] == [{"changes": [
        {"element": {"kind": "node", "id": 6, "name": "node 6"}, "field": "write_pending", "component": None,
         "tier": None, "old": True, "new": False, "forced": True},
        {"element": {"kind": "transfer", "id": 0, "name": "write 2 of node 6"}, "field": "in_flight",
         "component": None, "tier": None, "old": True, "new": False, "forced": True},
    ]}]  # fmt: skip


def test_nothing_to_repair(run: Run, write: Write) -> None:
    result = run("repair", write(small()))
    assert result.exit_code == Exit.HOLDS
    assert "nothing to repair" in result.stdout
    data = json.loads(run("repair", write(small()), "--json").stdout)
    assert (data["verdict"], data["size"], data["repairs"]) == ("holds", None, [])


def test_a_partial_view_is_no_proof(run: Run, write: Write) -> None:
    path = write(replace(observe(small()), requests=None))
    assert run("repair", path).exit_code == Exit.INCONCLUSIVE
    assert run("repair", path, "--partial").exit_code == Exit.HOLDS


def test_settings_can_be_overridden(run: Run, write: Write) -> None:
    path = write(small())
    result = run("repair", path, "--policy", "write_back")
    assert result.exit_code == Exit.VIOLATED
    assert "write_back (overridden; the file says write_through)" in text(result)


def test_some_rules_alone(run: Run, write: Write) -> None:
    path = write(freed_while_read())
    data = json.loads(run("repair", path, "--rule", "pending_write_is_locked", "--json").stdout)
    assert data["rules"] == ["pending_write_is_locked"]
    assert data["size"] == 1
    assert {c["field"] for r in data["repairs"] for c in r["changes"]} == {"write_pending", "lock"}
    assert run("repair", path, "--family", "shape").exit_code == Exit.HOLDS


def test_time_that_is_over_is_inconclusive(run: Run, write: Write) -> None:
    result = run("repair", write(freed_while_read()), "--seconds", "0.0001")
    assert result.exit_code == Exit.INCONCLUSIVE
    assert "inconclusive: stopped after 0 s, not knowing whether 2 changes can do" in text(result)
    assert "--seconds gives more time" in text(result)


def test_a_dump_is_opened(run: Run, write: Write) -> None:
    path = Path(write(miscounted(), "snapshot.json.gz"))
    assert run("repair", str(path.parent)).exit_code == Exit.VIOLATED


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere.json",), "there is no such file"),
        (("a", "b"), "repair takes one file, not 2"),
        (("--rule", "source_is_not_fre", "x"), "did you mean source_is_not_free"),
        (("--rule", "eviction_frees_what_was_asked", "x"), "a snapshot is one state"),
        (("--seconds", "0", "x"), "0"),
        (("--limit", "-1", "x"), "-1"),
    ],
)
def test_what_cannot_be_is_said(run: Run, words: tuple[str, ...], said: str) -> None:
    result = run("repair", *words)
    assert result.exit_code == Exit.USAGE
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_what_is_no_snapshot_is_said(run: Run, write: Write) -> None:
    path = Path(write(small()))
    path.write_text("{}")
    result = run("repair", str(path))
    assert result.exit_code == Exit.USAGE
    assert str(path) in result.stderr
