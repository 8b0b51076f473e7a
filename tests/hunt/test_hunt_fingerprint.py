"""A fingerprint forgets names, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sanitree.checker.hunt.fingerprint import HITS, fingerprint
from sanitree.invariants.vocabulary import FIELDS, FULL, MAMBA, SWA, Policy, Sort
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.operations import Finish, Release, Start
from sanitree.models.driving.setup import Setup
from sanitree.models.reference import ByHand, UnifiedRadixCache
from sanitree.models.reference.observe import subject
from sanitree.models.reference.workload import Workload, config
from sanitree.models.snapshot import Column, Key, Lists, Snapshot, Table
from tests import legal

_NAMES = {
    "is_root",
    "parent",
    "parent_link",
    "first_page",
    "edge",
    "bytes",
    "own_bytes",
    "ack",
    "write_ack",
    "load_ack",
    "node",
}


def lived(seed: int) -> Snapshot:
    """A state of a reference cache that has lived a while."""
    rng = Random(seed)
    components = rng.choice([(FULL,), (FULL, SWA), (FULL, MAMBA)])
    cache = UnifiedRadixCache(config(rng.choice([*Policy]), components, rng.choice([1, 2]), small=True), ByHand())
    list(Workload(cache, seed).steps(rng.randrange(5, 40)))
    return subject(cache, content=True).snapshot(None)


states = st.one_of(st.integers(0, 10**6).map(lived), st.integers(0, 10**6).map(legal.snapshot))


def renamed(s: Snapshot, rng: Random) -> Snapshot:
    """The same state under other names, siblings in another order."""
    rows = len(s.nodes)
    parent = s.parent.tolist()
    order, ready = [], [0]
    while ready:
        row = ready.pop(rng.randrange(len(ready)))
        order.append(row)
        ready += [c for c in range(1, rows) if parent[c] == row]
    place = {row: i for i, row in enumerate(order)}
    numbers: dict[object, int] = {}

    def name(kind: object, x: int) -> int:
        return x if x < 0 else numbers.setdefault((kind, x), 1000 + 7 * len(numbers))

    def value(sort: Sort, key: Key, x: int) -> int:
        if (f := FIELDS.get((sort, key.name))) is not None and f.sort is Sort.NODE:
            return place[x] if 0 <= x < rows else x
        if key.name in ("ack", "write_ack", "load_ack"):
            return name("ack", x)
        if key.name in ("first_page", "edge"):
            return name("page", x)
        if key.name in ("bytes", "own_bytes"):
            return name(("bytes", key.component), x)
        return x

    def table(t: Table | None, sort: Sort, order: list[int] | None = None) -> Table | None:
        if t is None:
            return None
        at = torch.tensor(order if order is not None else range(len(t)), dtype=torch.int64)
        columns = {}
        for key, c in t.columns.items():
            values = [value(sort, key, x) for x in c.values[at].tolist()]
            columns[key] = Column(torch.tensor(values, dtype=c.values.dtype), None if c.known is None else c.known[at])
        lists = {
            key: Lists.of([name("token" if key.name == "key" else key[1:], x) for x in x[row].tolist()] for row in at)
            for key, x in t.lists.items()
        }
        ids = t.ids[at] + 1000 if sort is not Sort.TREE else t.ids
        return Table(ids, columns, lists)

    tree, nodes = table(s.tree, Sort.TREE), table(s.nodes, Sort.NODE, order)
    assert tree is not None and nodes is not None
    free = {k: Lists.of([rng.sample(x.values.tolist(), len(x.values))]) for k, x in tree.lists.items()}
    requests = None
    if s.requests is not None:
        requests = table(s.requests, Sort.REQUEST, rng.sample(range(len(s.requests)), len(s.requests)))
    return replace(
        s, tree=replace(tree, lists=free), nodes=nodes, transfers=table(s.transfers, Sort.TRANSFER), requests=requests
    )


@given(states, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_names_make_no_difference(s: Snapshot, rng: Random) -> None:
    assert fingerprint(renamed(s, rng)) == fingerprint(s)


@given(states, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_every_other_field_does(s: Snapshot, rng: Random) -> None:
    tables = {"nodes": Sort.NODE, "tree": Sort.TREE, "transfers": Sort.TRANSFER, "requests": Sort.REQUEST}
    choices = [
        (name, key)
        for name, sort in tables.items()
        if (t := getattr(s, name)) is not None and len(t)
        for key in t.columns
        if key.name not in _NAMES
    ]
    name, key = rng.choice(choices)
    table = getattr(s, name)
    row = rng.randrange(len(table))
    old = table.columns[key]
    values = old.values.clone()
    if values.dtype == torch.bool:
        values[row] = not bool(values[row])
    else:
        values[row] = (int(values[row]) - 1) if key.name != "hits" else (HITS if int(values[row]) < HITS else 0)
    if old.known is not None and not bool(old.known[row]):
        return
    changed = replace(s, **{name: replace(table, columns={**table.columns, key: Column(values, old.known)})})
    assert fingerprint(changed) != fingerprint(s), (name, key, row)


@given(states, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_so_does_who_holds_a_slot(s: Snapshot, rng: Random) -> None:
    """A slot that is taken from its owner, or given to another as well."""
    owned = [
        (k, row) for k, x in s.nodes.lists.items() if k.name == "holds" for row in range(len(s.nodes)) if len(x[row])
    ]
    if not owned:
        return
    key, row = rng.choice(owned)
    lists = [s.nodes.lists[key][r].tolist() for r in range(len(s.nodes))]
    free = s.tree.lists[Key("free", *key[1:])].values.tolist() if Key("free", *key[1:]) in s.tree.lists else []
    others = [x for r, slots in enumerate(lists) if r != row for x in slots]
    if others and rng.random() < 0.5:
        lists[row][0] = rng.choice(others)
        changed = replace(s, nodes=replace(s.nodes, lists={**s.nodes.lists, key: Lists.of(lists)}))
    else:
        free = [*free, lists[row][0]]
        pool = Key("free", *key[1:])
        changed = replace(s, tree=replace(s.tree, lists={**s.tree.lists, pool: Lists.of([free])}))
    assert fingerprint(changed) != fingerprint(s)


def state_after(*operations: object) -> Snapshot:
    driver = open_driver("reference", Setup())
    for op in operations:
        assert driver.can(op)  # type: ignore[arg-type]
        driver.do(op)  # type: ignore[arg-type]
    return driver.subject().snapshot(None)


def inserted(*prompt: int) -> tuple[object, ...]:
    return Start(prompt), Finish(0), Release(0)


def test_symmetric_prompts_lead_to_one_state() -> None:
    one = state_after(*inserted(1, 2), *inserted(1, 3))
    assert fingerprint(one) == fingerprint(state_after(*inserted(3, 2), *inserted(3, 7)))
    assert fingerprint(one) != fingerprint(state_after(*inserted(1, 2), *inserted(3, 2)))


def test_the_order_of_use_counts() -> None:
    s = state_after(*inserted(1), *inserted(2), *inserted(3, 4))
    assert fingerprint(s, recent=[(1,), (2,), (3, 4)]) == fingerprint(
        s, recent=[(1, 9), (1,), (2,), (7,), (3, 4), (2, 5)]
    )
    assert fingerprint(s, recent=[(1,), (2,), (3, 4)]) != fingerprint(s, recent=[(1,), (3, 4), (2,)])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (((1, 2),), ((1, 4),), True),  # leave the tree at the same place
        (((1, 2),), ((3, 2),), False),  # one in the tree's first page, one at the root
        (((2, 3), (2, 4)), ((5, 3), (5, 3)), False),  # go along for one token, and for two
        (((2, 3), (2, 4)), ((6, 1), (6, 2)), True),
        (((2, 3), (2, 4)), ((2, 3), (4, 3)), False),
    ],
)
def test_running_prompts_count_by_what_they_share(
    one: tuple[tuple[int, ...], ...], other: tuple[tuple[int, ...], ...], same: bool
) -> None:
    s = state_after(*inserted(1, 9))
    assert (fingerprint(s, one) == fingerprint(s, other)) is same
