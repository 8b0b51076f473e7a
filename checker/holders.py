"""Who has each slot of a cache, and which slots changed hands between two snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE, HOST, Component, Tier
from sanitree.models.snapshot import Key, Snapshot


class Place(Enum):
    """Who has a slot."""

    FREE = "free"
    NODE = "node"
    REQUEST = "request"
    NOBODY = "nobody"
    SHARED = "several"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a slot. id: of the node (as in the snapshot it is from) or the request."""

    place: Place
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """Slots of one pool that went from one holder to another. in_flight: those that a transfer still uses after."""

    component: Component
    tier: Tier
    slots: tuple[int, ...]
    old: Holder
    new: Holder
    in_flight: tuple[int, ...]


def moved(a: Snapshot, b: Snapshot, pairs: Mapping[int, int], split_off: Mapping[int, int]) -> Iterator[Moved]:
    """Slots that changed hands.

    pairs: rows of nodes in the first snapshot to rows in the second. split_off: rows in
    the second of parts of nodes, to the rows in the first of what they are parts of.
    """
    ids_a, ids_b = a.nodes.ids.tolist(), b.nodes.ids.tolist()
    renamed = {ids_a[x]: ids_b[y] for x, y in pairs.items()}
    for component in b.settings.components:
        for tier in (DEVICE, HOST):
            old, new = holders(a, component, tier), holders(b, component, tier)
            if old is None or new is None:
                continue
            busy = _busy(b, component, tier)
            found: dict[tuple[Holder, Holder], list[int]] = {}
            nobody = Holder(Place.NOBODY)
            for slot in sorted(old.keys() | new.keys()):
                was, now = old.get(slot, nobody), new.get(slot, nobody)
                if was.place is Place.NODE and now.place is Place.NODE:
                    assert was.id is not None
                    assert now.id is not None
                    whole = split_off.get(b.row_of[now.id])
                    # The upper part of a split has slots of the node it was split from: nobody gave them away.
                    if renamed.get(was.id) == now.id or (whole is not None and ids_a[whole] == was.id):
                        continue
                elif was == now:
                    continue
                found.setdefault((was, now), []).append(slot)
            for (was, now), slots in found.items():
                yield Moved(component, tier, tuple(slots), was, now, tuple(s for s in slots if s in busy))


def holders(s: Snapshot, component: Component, tier: Tier) -> dict[int, Holder] | None:
    """Who has each slot that anything names; None where nobody looked at free lists or at nodes."""
    key = Key.of("holds", component, tier)
    free, held = s.tree.lists.get(Key.of("free", component, tier)), s.nodes.lists.get(key)
    if free is None and held is None:
        return None
    found: dict[int, Holder] = {}

    def put(slots: Tensor, holders: Iterator[Holder]) -> None:
        for slot, holder in zip(slots.tolist(), holders, strict=False):
            found[slot] = Holder(Place.SHARED) if slot in found and found[slot] != holder else holder

    if free is not None:
        put(free.values, iter([Holder(Place.FREE)] * len(free.values)))
    if held is not None:
        ids = s.nodes.ids.tolist()
        put(held.values, (Holder(Place.NODE, ids[row]) for row in held.rows.tolist()))
    asks = s.requests.lists.get(key) if s.requests is not None else None
    if asks is not None and s.requests is not None:
        names = s.requests.ids.tolist()
        put(asks.values, (Holder(Place.REQUEST, names[row]) for row in asks.rows.tolist()))
    return found


def _busy(s: Snapshot, component: Component, tier: Tier) -> set[int]:
    """Slots that a transfer in flight reads or writes."""
    if s.transfers is None:
        return set()
    lists = [s.transfers.lists.get(Key.of(role, component, tier)) for role in ("reads", "writes")]
    return {slot for found in lists if found is not None for slot in found.values.tolist()}
