"""`sanitree diff`: what happened between two snapshots."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from click.testing import Result

from sanitree.checker.difference import Match, difference
from sanitree.models.snapshot import write as to_file
from tests.cli.caches import Ask, Cache, Flight, Node, observe, small

Run = Callable[..., Result]
Write = Callable[..., str]


def later(**changes: object) -> Cache:
    """`small` some operations on: a split, an eviction, one write done and one begun, one request gone and one come."""
    nodes = [
        Node(0, 0, (), lock=1, hits=0),
        Node(9, 0, (1, 2), (1, 2), (1, 2), lock=1, hits=4),
        Node(1, 1, (3, 4), (3, 4), (3, 4), hits=5),
        Node(5, 2, (500, 501), (), (5, 6), hits=2),
        Node(6, 2, (7, 8, 9), (7, 8, 9), (7, 8, 9), hits=2),
        Node(7, 0, (70, 71), (), (10, 11), hits=3),
        Node(10, 1, (33, 34), (10, 11), (13, 14), lock=1, write=4),
    ]
    return replace(Cache(nodes, [Flight(6, 4, (10, 11), (13, 14))], [Ask(13, 6)]), **changes)  # type: ignore[arg-type]


def test_the_story_is_told(run: Run, write: Write) -> None:
    result = run("diff", write(small(), "a.json"), write(later(), "b.json"))
    assert result.exit_code == 0
    for told in (
        "÷ node 1 [1 2 3 4] split into node 9 [1 2] above node 1 [3 4]",
        "+ node 10 [33 34] below node 9: on full device and full host",
        "- node 8 [72] below node 7: on full host",
        "full device copy gone (2 slots)",
        "full device 5-6: node 5 → free",
        "full device 10-11: free → node 10  (still in flight)",
        "+ write 4 started: node 10, full device 10-11 → host 13-14",
        "- write 3 finished",
        "+ 1 request arrived: 13",
        "registered nodes: 6 → 7",
    ):
        assert told in result.stdout, told


def test_nothing_changed(run: Run, write: Write) -> None:
    path = write(small())
    assert "nothing changed" in run("diff", path, path).stdout
    assert json.loads(run("diff", "--json", path, path).stdout)["same"] is True


def test_a_split_moves_no_slot() -> None:
    found = difference(observe(small()), observe(later()))
    assert not [m for m in found.moved if set(m.slots) & {1, 2, 3, 4}]
    assert not {c.key.name for n in found.changed for c in n.changes} & {"parent", "edge", "lru_rank", "key_len"}


def test_other_engines_are_matched_by_token_path() -> None:
    found = difference(observe(small()), observe(later(version="0.5.14")))
    assert found.matched_by is Match.TOKENS
    assert len(found.added) == len(found.removed) == len(found.splits) == 1


def test_equal_ids_of_other_trees_are_not_believed() -> None:
    other = small()
    for n in other.nodes[1:]:
        n.key = tuple(t + 1000 for t in n.key)
    found = difference(observe(small()), observe(other))
    assert found.matched_by is Match.TOKENS
    assert len(found.added) == len(found.removed) == 5


def test_snapshots_hashed_apart_are_matched_by_ids(run: Run, write: Write) -> None:
    a, b = write(small(), "a.json", tokens="hashed"), write(later(), "b.json", tokens="hashed")
    assert "matched by id" in run("diff", a, b).stdout
    other = write(later(version="0.5.14"), "c.json", tokens="hashed")
    result = run("diff", a, other)
    assert result.exit_code == 2
    assert "of different engines" in result.stderr
    assert "each has a salt of its own" in result.stderr
    assert "write both with one salt, write(snapshot, path, salt=...)" in result.stderr


def test_a_shared_salt_makes_tokens_comparable(run: Run, tmp_path: Path) -> None:
    paths = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    for path, cache in zip(paths, (small(), later(version="0.5.14")), strict=True):
        to_file(observe(cache), path, salt=b"sixteen bytes, or more")
    assert "matched by token path" in run("diff", *paths).stdout


def test_why_nodes_cannot_be_matched_is_said(run: Run, write: Write) -> None:
    a = write(small(), "a.json")
    hashed = run("diff", a, write(later(version="0.5.14"), "b.json", tokens="hashed"))
    assert "one has raw tokens and the other hashes of them" in hashed.stderr
    other = observe(later(version="0.5.14"))
    keyless = replace(other, nodes=replace(other.nodes, lists={}))
    assert "tokens were not observed in both" in run("diff", a, write(keyless, "c.json")).stderr
    moved = observe(later())
    ids = moved.nodes.ids.clone()
    ids[0] = 99
    moved = replace(moved, nodes=replace(moved.nodes, ids=ids))
    result = run("diff", a, write(moved, "d.json", tokens="hashed"))
    assert "their roots have different ids" in result.stderr


def test_what_one_snapshot_did_not_observe_is_said(run: Run, write: Write) -> None:
    a = write(replace(observe(small()), transfers=None), "a.json")
    assert "observed only after, so not compared: transfers" in run("diff", a, write(later(), "b.json")).stdout


def test_json(run: Run, write: Write) -> None:
    data = json.loads(run("diff", "--json", write(small(), "a.json"), write(later(), "b.json")).stdout)
    assert data["added"] == [10]
    assert data["removed"] == [8]
    assert data["split"] == [{"node": 1, "into": [9, 1]}]
    assert data["transfers"] == {"started": ["write 4"], "finished": ["write 3"]}
    freed = [m for m in data["slots"] if m["slots"] == [5, 6]]
    assert freed[0]["new"] == {"place": "free", "id": None}
