"""Snapshots of live SGLang caches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import torch

from sanitree.invariants.vocabulary import DEVICE, HOST, SWA, Sort
from sanitree.models import observe
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.python_core import reading, requests
from sanitree.models.engines.view import Flight, Held, View, flights, lends_host_slots, pool
from sanitree.models.snapshot import Column, Key, Lists, Origin, Snapshot, Table
from sanitree.models.subject import Subject


def snapshot(v: View, wanted: frozenset[Key] | None = None) -> Snapshot:
    """Everything that can be observed of a live cache now, or of its nodes only what is `wanted`.

    Nothing in the cache changes. On a GPU this reads indices back to the host and so
    waits for the device.
    """
    if v.rust:
        from sanitree.models.engines.rust_core import snapshot as rust_snapshot

        return rust_snapshot(v)
    r, s = reading(v), v.settings
    seen = observe.walk(v, r)
    columns, free = pools(v)
    tree = Table(torch.zeros(1, dtype=torch.int64), {**observe.tree_columns(v, r, s), **columns}, free)
    inflight = flights(v, seen.holds)
    transfers = with_slots(v, observe.record_table(v, inflight, r, Sort.TRANSFER, s, seen), inflight)
    held = None
    if v.requests is not None:
        held = with_held(v, observe.record_table(v, requests(v, seen.holds), r, Sort.REQUEST, s, seen), v.requests)
    nodes = observe.node_table(v, r, s, seen, "id", wanted)
    return Snapshot(origin(v, "python"), s, tree, without_padding(nodes), transfers, held)


def subject(v: View) -> Subject:
    """The cache as a checker takes it."""
    if not isinstance(v, View):
        raise EngineError(f"a {type(v).__name__} is no View: pass View(cache, version)")
    kind = ("sglang", v.version, v.rust, v.settings, v.requests is None)
    return Subject(v, v.settings, kind, None if v.rust else partial(reading, v), partial(snapshot, v))


def origin(v: View, core: str) -> Origin:
    """Where and when: engine, version, core, UTC now."""
    return Origin("sglang", v.version, core, datetime.now(UTC).isoformat(timespec="seconds"))


def pools(v: View) -> tuple[dict[Key, Column], dict[Key, Lists]]:
    """Capacity, availability and free lists of every pool, as the tree's fields and lists."""
    columns: dict[Key, Column] = {}
    lists: dict[Key, Lists] = {}
    for c in v.settings.components:
        for t in (DEVICE, HOST):
            p = pool(v, c, t)
            columns[Key.of("capacity", c, t)] = Column.of([p.capacity if p else 0], int)
            columns[Key.of("available", c, t)] = Column.of([p.available if p else 0], int)
            lists[Key.of("free", c, t)] = Lists.of([p.free if p else ()])
    return columns, lists


def without_padding(table: Table) -> Table:
    """Device slot 0 is padding: window copies, and their transfers, name it where a token has no slot. No other may."""
    lists = dict(table.lists)
    for key, held in table.lists.items():
        if key == Key.of(key.name, SWA, DEVICE):
            lists[key] = held.without(0)
    return Table(table.ids, table.columns, lists)


def with_slots(v: View, table: Table, inflight: Sequence[Flight]) -> Table:
    """The transfers with the slots that they read and write, where all of them are known."""
    if any(f.reads is None for f in inflight):
        return table
    lists: dict[Key, Lists] = {}
    columns = dict(table.columns)
    for c in v.settings.components:
        for t in (DEVICE, HOST):
            device = t is DEVICE
            reads = [(f.reads or {}).get(c.name, ()) if f.is_write is device else () for f in inflight]
            writes = [(f.writes or {}).get(c.name, ()) if f.is_load is device else () for f in inflight]
            lists[Key.of("reads", c, t)] = Lists.of(reads)
            lists[Key.of("writes", c, t)] = Lists.of(writes)
        columns[Key.of("tokens", c)] = Column(
            torch.tensor([len((f.reads or {}).get(c.name, ())) for f in inflight], dtype=torch.int64)
        )
    return without_padding(Table(table.ids, columns, lists))


def with_held(v: View, table: Table, held: Sequence[Held]) -> Table:
    """The requests with the slots that they hold outside the tree, where nobody else may hold any unseen."""
    lists = dict(table.lists)
    for c in v.settings.components:
        for t in (DEVICE, HOST):
            lists[Key.of("uses", c, t)] = Lists.of([h.prefix if c.backbone and t is DEVICE else () for h in held])
            if t is DEVICE or not lends_host_slots(v):
                lists[Key.of("holds", c, t)] = Lists.of([h.slots(c, t) for h in held])
    return Table(torch.tensor([h.number for h in held], dtype=torch.int64), table.columns, lists)
