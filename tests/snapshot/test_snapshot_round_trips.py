"""What goes into a graph or a file comes out the same."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import networkx as nx  # type: ignore[import-untyped,unused-ignore]
import pytest
import torch
from hypothesis import given
from strategies import snapshots

from sanitree.invariants.vocabulary import FULL, Component, Policy, Settings
from sanitree.models.snapshot import (
    Column,
    Key,
    Lists,
    Origin,
    Snapshot,
    SnapshotError,
    SnapshotIOError,
    Table,
    decode,
    empty_table,
    encode,
    from_networkx,
    hashed,
    read,
    same,
    to_networkx,
    validate,
    write,
)

SALT = b"0123456789abcdef"


def small(**changes: object) -> Snapshot:
    """A root, a child and a grandchild; the child's hits are not known."""
    state = Component("state", backbone=False, per_token=False)
    nodes = Table(
        torch.tensor([1, 7, 5]),
        {
            Key("parent"): Column(torch.tensor([0, 0, 1])),
            Key("parent_link"): Column(torch.tensor([0, 2, 1])),
            Key("key_len"): Column(torch.tensor([0, 2, 1])),
            Key("hits"): Column(torch.tensor([0, 99, 3]), torch.tensor([True, False, True])),
            Key("present", "state", "host"): Column(torch.tensor([True, False, True])),
            Key("first_page"): Column(torch.tensor([0, 11, 13])),
            Key("edge"): Column(torch.tensor([0, 11, 13])),
        },
        {Key("key"): Lists.of([[], [11, 12], [13]]), Key("holds", "full", "device"): Lists.of([[], [4, 5], [6]])},
    )
    tree = Table(
        torch.zeros(1, dtype=torch.int64),
        {Key("evictable_size", "full"): Column(torch.tensor([3]))},
        {Key("free", "full", "device"): Lists.of([[1, 2, 3]])},
    )
    about = Settings(Policy.WRITE_BACK, (FULL, state), frozenset({"tiered"}), 1)
    return replace(Snapshot(Origin("sglang", "0.5.13", "python"), about, tree, nodes, empty_table()), **changes)  # type: ignore[arg-type]


@given(snapshots())
def test_same_is_reflexive_and_strategy_is_valid(s: Snapshot) -> None:
    validate(s)
    assert same(s, s)


@given(snapshots())
def test_graph_loses_nothing(s: Snapshot) -> None:
    assert same(from_networkx(to_networkx(s)), s)


@given(snapshots())
def test_graph_survives_networkx_own_json(s: Snapshot) -> None:
    text = json.dumps(nx.node_link_data(to_networkx(s), edges="edges"))
    assert same(from_networkx(nx.node_link_graph(json.loads(text), edges="edges")), s)


@given(snapshots())
def test_file_loses_nothing(s: Snapshot) -> None:
    assert same(decode(encode(s, tokens="raw")), s)
    assert same(decode(encode(s, tokens="raw", packed=True)), s)


@given(snapshots())
def test_file_of_hashes_is_the_hashed_snapshot(s: Snapshot) -> None:
    assert same(decode(encode(s, salt=SALT)), hashed(s, SALT))


@given(snapshots(tokens="hashed"))
def test_hashed_files_stay_as_they_are(s: Snapshot) -> None:
    again = decode(encode(s))
    assert again.tokens == "hashed" and same(again, s)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_written_files_are_read_back(tmp_path: Path, name: str) -> None:
    s = small()
    write(s, tmp_path / name, tokens="raw")
    assert same(read(tmp_path / name), s)
    assert same(read(str(tmp_path / name)), s)
    assert os.listdir(tmp_path) == [name]


def test_same_sees_every_difference() -> None:
    s = small()
    n = s.nodes

    def with_column(key: Key, c: Column) -> Snapshot:
        return replace(s, nodes=replace(n, columns={**n.columns, key: c}))

    hits = n.columns[Key("hits")]
    assert same(s, with_column(Key("hits"), Column(torch.tensor([0, -5, 3]), hits.known))), "hidden values do not count"
    all_known = torch.ones(3, dtype=torch.bool)
    assert same(s, with_column(Key("key_len"), Column(n.columns[Key("key_len")].values, all_known)))
    assert same(s, replace(s, notes=("something",)))
    different = [
        with_column(Key("hits"), Column(torch.tensor([0, 99, 4]), hits.known)),
        with_column(Key("hits"), Column(hits.values)),
        with_column(Key("write_ack"), Column(torch.tensor([0, 0, 0]))),
        replace(s, nodes=replace(n, ids=torch.tensor([1, 7, 6]))),
        replace(s, nodes=replace(n, lists={**n.lists, Key("key"): Lists.of([[], [11], [12, 13]])})),
        replace(s, nodes=replace(n, lists={})),
        replace(s, transfers=None),
        replace(s, requests=empty_table()),
        replace(s, tokens="hashed"),
        replace(s, origin=replace(s.origin, core="rust")),
        replace(s, settings=replace(s.settings, page_size=2)),
    ]
    for other in different:
        assert not same(s, other) and not same(other, s)


def test_write_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write(small(), path, tokens="raw")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SnapshotIOError, match="No space left") as error:
        write(small(tokens="hashed"), path)
    assert error.value.exit_code == 4
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.json"]


def test_write_says_what_it_does_not_write(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"end it in \.json or \.json\.gz"):
        write(small(), tmp_path / "a.pickle")
    with pytest.raises(SnapshotError, match="holds hashes"):
        write(small(tokens="hashed"), tmp_path / "a.json", tokens="raw")
    bad = replace(small().nodes, columns={Key("parent"): Column(torch.tensor([0, 2, 1]))})
    with pytest.raises(SnapshotError, match=r'a\.json: \.nodes\.columns\["parent"\]\[1\]: 2 is not an earlier row'):
        write(small(nodes=bad), tmp_path / "a.json")
    with pytest.raises(SnapshotIOError, match="No such file or directory"):
        write(small(), tmp_path / "nowhere" / "a.json")
    assert os.listdir(tmp_path) == []


def test_what_compresses_too_well_is_still_read() -> None:
    rows = 50_000
    zeros = torch.zeros(rows, dtype=torch.int64)
    names = ("lock", "tokens", "lru_rank", "lru_prev_rank")
    flat = {Key(n, c, t): Column(zeros) for n in names for c in ("full", "swa", "mamba") for t in ("device", "host")}
    s = small(nodes=Table(torch.arange(rows), {**flat, Key("parent"): Column(zeros)}))
    assert same(decode(encode(s, packed=True)), hashed(s))


def test_a_narrowed_snapshot_is_written_whole(tmp_path: Path) -> None:
    s = small()
    swa = Column(torch.tensor([1, 2, 3]))
    s = replace(s, nodes=replace(s.nodes, columns={**s.nodes.columns, Key("lock", "swa", "device"): swa}))
    assert same(decode(encode(s, tokens="raw")), s)
