"""Small snapshots to run commands on: the tree of the main job, clean and broken, and big random ones."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component, Policy, Settings, Tier
from sanitree.models.snapshot import Column, Key, Lists, Origin, Snapshot, Table


@dataclass
class Node:
    """One node of a tree to be built: its id, the index of its parent and what it holds."""

    id: int
    parent: int
    key: Sequence[int]
    device: Sequence[int] = ()
    host: Sequence[int] = ()
    swa: Sequence[int] = ()
    lock: int = 0
    hits: int = 1
    write: int = -1
    load: int = -1


@dataclass
class Flight:
    """One transfer in flight of the full component."""

    node: int
    ack: int
    device: Sequence[int]
    host: Sequence[int]
    write: bool = True


@dataclass
class Ask:
    """One request: the index of the node it has locked, and the slots it holds outside the tree."""

    id: int
    node: int
    holds: Sequence[int] = ()


@dataclass
class Cache:
    """A cache to be observed: what the tests write down by hand."""

    nodes: list[Node]
    flights: list[Flight] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    policy: Policy = Policy.WRITE_THROUGH
    traits: frozenset[str] = frozenset({"tiered"})
    components: tuple[Component, ...] = (FULL,)
    device_slots: int = 16
    host_slots: int = 16
    free_device: Sequence[int] | None = None
    version: str = "0.5.13"


def longs(values: Iterable[int]) -> Column:
    return Column(torch.tensor([int(v) for v in values], dtype=torch.int64))


def flags(values: Iterable[object]) -> Column:
    return Column(torch.tensor([bool(v) for v in values], dtype=torch.bool))


def observe(c: Cache) -> Snapshot:
    """A complete observation; what the cache does not say is as a correct engine would have it."""
    ns = c.nodes
    kids: dict[int, list[int]] = {i: [] for i in range(len(ns))}
    for i, n in enumerate(ns[1:], 1):
        kids[n.parent].append(i)
    columns: dict[Key, Column] = {
        Key("is_root"): flags(i == 0 for i in range(len(ns))),
        Key("parent"): longs(n.parent for n in ns),
        Key("parent_link"): longs(n.parent for n in ns),
        Key("has_parent_link"): flags(range(len(ns))),
        Key("readable"): flags(True for _ in ns),
        Key("references"): longs(min(i, 1) for i in range(len(ns))),
        Key("key_len"): longs(len(n.key) for n in ns),
        Key("first_page"): longs(n.key[0] if n.key else 0 for n in ns),
        Key("edge"): longs(n.key[0] if n.key else 0 for n in ns),
        Key("hits"): longs(n.hits for n in ns),
        Key("write_pending"): flags(n.write >= 0 for n in ns),
        Key("write_ack"): longs(n.write for n in ns),
        Key("load_pending"): flags(n.load >= 0 for n in ns),
        Key("load_ack"): longs(n.load for n in ns),
        Key("in_host_duplicates"): flags(False for _ in ns),
    }
    lists: dict[Key, Lists] = {Key("key"): Lists.of(n.key for n in ns)}
    tree: dict[Key, Column] = {Key("registered_nodes"): longs([len(ns)]), Key("host_duplicates"): longs([0])}
    tree_lists: dict[Key, Lists] = {}
    requests: dict[Key, Column] = {
        Key("node"): longs(a.node for a in c.asks),
        Key("node_in_tree"): flags(True for _ in c.asks),
        Key("prefix_len"): longs(_depth(ns, a.node) for a in c.asks),
    }
    request_lists: dict[Key, Lists] = {}
    transfer_columns: dict[Key, Column] = {
        Key("is_write"): flags(f.write for f in c.flights),
        Key("is_load"): flags(not f.write for f in c.flights),
        Key("ack"): longs(f.ack for f in c.flights),
        Key("node"): longs(f.node for f in c.flights),
        Key("node_in_tree"): flags(True for _ in c.flights),
        Key("takes_lock"): flags(True for _ in c.flights),
        Key("published"): longs(1 for _ in c.flights),
        Key("queued"): longs(1 for _ in c.flights),
    }
    transfer_lists: dict[Key, Lists] = {}
    for component in c.components:
        held = {DEVICE: [n.device for n in ns], HOST: [n.host for n in ns]}
        if component is not FULL:
            held = {DEVICE: [n.swa for n in ns], HOST: [() for _ in ns]}
        locks = [n.lock if component is FULL else min(n.lock, 1) for n in ns]
        for tier in (DEVICE, HOST):
            _copies(c, component, tier, held[tier], columns, lists, tree, tree_lists)
            key = Key.of("lock", component, tier)
            columns[key] = longs(locks if tier is DEVICE else [0] * len(ns))
            request_lists[Key.of("holds", component, tier)] = Lists.of(
                a.holds if component is FULL and tier is DEVICE else () for a in c.asks
            )
            request_lists[Key.of("uses", component, tier)] = Lists.of(
                _path_slots(ns, a.node) if component is FULL and tier is DEVICE else () for a in c.asks
            )
            for role, writes in (("reads", tier is DEVICE), ("writes", tier is HOST)):
                transfer_lists[Key.of(role, component, tier)] = Lists.of(
                    (f.device if tier is DEVICE else f.host) if component is FULL and f.write == writes else ()
                    for f in c.flights
                )
        transfer_columns[Key.of("tokens", component)] = longs(
            len(f.device) if component is FULL else 0 for f in c.flights
        )
        unlocked = [
            sum(len(s) for s, lock in zip(held[DEVICE][1:], locks[1:], strict=True) if (lock > 0) == p) for p in (0, 1)
        ]
        tree[Key.of("evictable_size", component)] = longs(unlocked[:1])
        tree[Key.of("protected_size", component)] = longs(unlocked[1:])
    _leaves(ns, kids, columns, tree)
    return Snapshot(
        Origin("sglang", c.version, "python", "2026-03-01T09:30:00Z"),
        Settings(c.policy, c.components, c.traits, 1),
        Table(torch.zeros(1, dtype=torch.int64), tree, tree_lists),
        Table(torch.tensor([n.id for n in ns]), columns, lists),
        Table(torch.arange(len(c.flights)), transfer_columns, transfer_lists),
        Table(torch.tensor([a.id for a in c.asks], dtype=torch.int64), requests, request_lists),
    )


def _depth(ns: list[Node], row: int) -> int:
    total = 0
    while row:
        total, row = total + len(ns[row].key), ns[row].parent
    return total


def _path_slots(ns: list[Node], row: int) -> list[int]:
    found: list[int] = []
    while row:
        found, row = [*ns[row].device, *found], ns[row].parent
    return found


def _copies(
    c: Cache, component: Component, tier: Tier, held: list[Sequence[int]], columns: dict[Key, Column],
    lists: dict[Key, Lists], tree: dict[Key, Column], tree_lists: dict[Key, Lists],
) -> None:  # fmt: skip
    present = [bool(s) or (i == 0 and tier is DEVICE) for i, s in enumerate(held)]
    columns[Key.of("present", component, tier)] = flags(present)
    columns[Key.of("tokens", component, tier)] = longs(len(s) for s in held)
    listed = [i for i, s in enumerate(held) if s and i and not component.backbone]
    rank = {row: at for at, row in enumerate(listed)}
    columns[Key.of("in_lru", component, tier)] = flags(i in rank for i in range(len(held)))
    columns[Key.of("lru_rank", component, tier)] = longs(rank.get(i, -1) for i in range(len(held)))
    columns[Key.of("lru_prev_rank", component, tier)] = longs(rank.get(i, 0) - 1 for i in range(len(held)))
    tree[Key.of("lru_size", component, tier)] = tree[Key.of("lru_length", component, tier)] = longs([len(listed)])
    lists[Key.of("holds", component, tier)] = Lists.of(held)
    total = c.device_slots if tier is DEVICE else c.host_slots
    taken = {s for h in held for s in h}
    if tier is DEVICE and component is FULL:
        taken |= {s for a in c.asks for s in a.holds}
    first = 1 if tier is DEVICE else 0
    free: Sequence[int] = [s for s in range(first, first + total) if s not in taken]
    if component is FULL and tier is DEVICE and c.free_device is not None:
        free = c.free_device
    tree_lists[Key.of("free", component, tier)] = Lists.of([free])
    tree[Key.of("capacity", component, tier)] = longs([total])
    tree[Key.of("available", component, tier)] = longs([len(free)])


def _leaves(ns: list[Node], kids: dict[int, list[int]], columns: dict[Key, Column], tree: dict[Key, Column]) -> None:
    device = [bool(i and n.device and not n.lock and not any(ns[k].device for k in kids[i])) for i, n in enumerate(ns)]
    host = [
        bool(i and n.host and not n.device and not any(ns[k].device or ns[k].host for k in kids[i]))
        for i, n in enumerate(ns)
    ]
    for name, members in (("device_leaves", device), ("host_leaves", host)):
        columns[Key(f"in_{name}")] = flags(members)
        tree[Key(name)] = longs([sum(members)])


def small(**changes: Any) -> Cache:
    """Six nodes under write_through, one written just now and one locked by a request."""
    nodes = [
        Node(0, 0, (), lock=1, hits=0),
        Node(1, 0, (1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4), lock=2, hits=4),
        Node(5, 1, (500, 501), (5, 6), (5, 6), hits=2),
        Node(6, 1, (7, 8, 9), (7, 8, 9), (7, 8, 9), lock=2, write=3),
        Node(7, 0, (70, 71), (), (10, 11), hits=3),
        Node(8, 4, (72,), (), (12,)),
    ]
    cache = Cache(nodes, [Flight(3, 3, (7, 8, 9), (7, 8, 9))], [Ask(12, 3, (14, 15))])
    return replace(cache, **changes)


def freed_while_read() -> Cache:
    """As after an eviction that did not wait for its own write-back: the sources are free, the write goes on."""
    nodes = [
        Node(0, 0, (), lock=1, hits=0),
        Node(5, 0, (1, 2), (1, 2)),
        Node(6, 1, (500, 501), (), (1, 2), write=2),
    ]
    flights = [Flight(2, 2, (3, 4), (1, 2))]
    return Cache(nodes, flights, policy=Policy.WRITE_BACK, version="0.5.12", device_slots=8, host_slots=8)


def big(size: int = 10_000, seed: int = 7, components: tuple[Component, ...] = (FULL,), broken: int = 0) -> Cache:
    """A random tree with a fan of a tenth of the nodes below the root, chains and bushes; `broken` backups undone."""
    rng = random.Random(seed)
    nodes = [Node(0, 0, (), lock=1, hits=0)]
    slot = 0
    for i in range(1, size):
        parent = 0 if rng.random() < 0.1 else i - 1 if rng.random() < 0.4 and i > 1 else rng.randrange(i)
        key = tuple(i * 100 + k for k in range(rng.choice((1, 2, 4, 16))))
        slots = tuple(range(slot + 1, slot + 1 + len(key)))
        slot += len(key)
        on_device = bool(nodes[parent].device or parent == 0) and rng.random() < 0.8
        swa = slots if on_device and len(components) > 1 and rng.random() < 0.5 else ()
        nodes.append(Node(i, parent, key, slots if on_device else (), slots, swa, hits=rng.randrange(9)))
    for i in rng.sample(range(1, size), broken):
        nodes[i] = replace(nodes[i], host=(), device=nodes[i].device or nodes[i].host)
    return Cache(nodes, components=components, device_slots=slot + 5000, host_slots=slot + 5000)
