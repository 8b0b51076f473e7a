"""What of a snapshot nothing in its tree accounts for: slots that nobody has, requests and transfers without a node."""

from __future__ import annotations

from sanitree.invariants.vocabulary import DEVICE, HOST, Component, Tier
from sanitree.models.snapshot import Key, Snapshot, Table


def strays(s: Snapshot) -> dict[str, int]:
    """How many: "requests", "writes" and "loads" whose node is not in the tree, and of each pool, as "full device",
    slots that are neither free nor anybody's, and as "full device twice" those that are free more than once."""
    found = {"requests": sum(not there for _, there in references(s.requests))}
    gone = [i for i, (_, there) in enumerate(references(s.transfers)) if not there]
    found["writes"] = sum(is_write(s, i) for i in gone)
    found["loads"] = len(gone) - found["writes"]
    for c in s.settings.components:
        for tier in (DEVICE, HOST):
            found[f"{c.name} {tier.value}"] = _leaked(s, c, tier)
            found[f"{c.name} {tier.value} twice"] = _freed_twice(s, c, tier)
    return found


def _freed_twice(s: Snapshot, c: Component, tier: Tier) -> int:
    """Slots of the pool: padding that is freed, as by who takes it for a slot, is nobody's."""
    columns = [s.slots(c, tier).columns.get(Key(name)) for name in ("number", "free", "in_tree")]
    capacity = s.tree.columns.get(Key.of("capacity", c, tier))
    if capacity is None or any(column is None for column in columns):
        return 0
    first = (s.settings.page_size if c.per_token else 1) if tier is DEVICE else 0
    mine = range(first, first + int(capacity.listed[0]))
    rows = zip(*(column.listed for column in columns if column is not None), strict=True)
    return sum(number in mine and free > 1 and not in_tree for number, free, in_tree in rows)


def _leaked(s: Snapshot, c: Component, tier: Tier) -> int:
    capacity = s.tree.columns.get(Key.of("capacity", c, tier))
    columns = [s.slots(c, tier).columns.get(Key(name)) for name in ("free", "in_tree", "held")]
    if capacity is None or any(column is None for column in columns):
        return 0
    somewhere = sum(any(row) for row in zip(*(col.listed for col in columns if col is not None), strict=True))
    return max(0, int(capacity.listed[0]) - somewhere)


def references(table: Table | None) -> list[tuple[int, bool]]:
    """For each request or transfer: the row of its node, and whether that is in the tree."""
    if table is None or Key("node") not in table.columns:
        return []
    nodes = table.columns[Key("node")].listed
    there = table.columns.get(Key("node_in_tree"))
    return [(int(n), bool(there is None or there.listed[i])) for i, n in enumerate(nodes)]


def is_write(s: Snapshot, transfer: int) -> bool:
    """Whether a transfer, by its row, is a write."""
    assert s.transfers is not None
    return bool(s.transfers.columns[Key("is_write")].listed[transfer])


def own_slots(s: Snapshot, row: int, c: Component, tier: Tier) -> bool | None:
    """Whether the slots of a node's copy are its own: not free, and nobody else's; None where that is not known."""
    holds = s.nodes.lists.get(Key.of("holds", c, tier))
    slots = s.slots(c, tier)
    columns = [slots.columns.get(Key(name)) for name in ("free", "in_tree", "held")]
    if holds is None or any(column is None for column in columns):
        return None
    at = {number: i for i, number in enumerate(slots.columns[Key("number")].listed)}
    told = [[int(col.listed[at[n]]) for col in columns if col is not None] for n in holds.each[row]]
    if any(free or held for free, _, held in told):
        return False
    return True if all(in_tree == 1 for _, in_tree, _ in told) else None


def arriving(s: Snapshot, row: int, c: Component, tier: Tier) -> bool:
    """Whether a transfer in flight writes slots of a node's copy: until it has, they hold what others left."""
    holds, written = s.nodes.lists.get(Key.of("holds", c, tier)), s.slots(c, tier).columns.get(Key("written"))
    if holds is None or written is None or not any(written.listed):
        return False
    at = {number: i for i, number in enumerate(s.slots(c, tier).columns[Key("number")].listed)}
    return any(written.listed[at[n]] for n in holds.each[row])
