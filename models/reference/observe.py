"""The adapter: a reference cache as a checker sees it."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache as cached
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE, FIELDS, HOST, Component, Settings, Sort, Tier
from sanitree.models import observe
from sanitree.models.reading import ELEMENT, Access, Reading, Where
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.nodes import Node
from sanitree.models.reference.transfers import Transfer
from sanitree.models.reference.tree import Lru
from sanitree.models.snapshot import Column, Key, Lists, Origin, Snapshot, Table
from sanitree.models.subject import Subject

_TRAITS = frozenset({"locked_tombstones", "host_leaf_unlocked", "host_lock_delists", "marks_pending_loads"})
_KEY = Access("{0}.key", (ELEMENT,))


def subject(cache: UnifiedRadixCache) -> Subject:
    """What a checker needs to know of a cache."""
    settings = settings_of(cache)

    def taken(wanted: Container[Key] | None) -> Snapshot:
        return snapshot(cache, settings, wanted)

    return Subject(cache, settings, ("reference", settings), lambda: reading(settings), taken)


def settings_of(cache: UnifiedRadixCache) -> Settings:
    """What is fixed of a cache: a change between two operations is an error of whoever made it."""
    config = cache.config
    traits = _TRAITS | {"tiered"} if config.tiered else _TRAITS
    return Settings(config.policy, config.components, traits, config.page_size)


def snapshot(cache: UnifiedRadixCache, settings: Settings, wanted: Container[Key] | None = None) -> Snapshot:
    """Everything that can be observed of a cache now, or of its nodes only what is `wanted`."""
    r = reading(settings)
    seen = observe.walk(cache, r)
    columns, free = _pools(cache, settings)
    tree = Table(torch.zeros(1, dtype=torch.int64), {**observe.tree_columns(cache, r, settings), **columns}, free)
    return Snapshot(
        Origin("reference", version("sanitree"), "python", datetime.now(UTC).isoformat(timespec="seconds")),
        settings,
        tree,
        observe.node_table(cache, r, settings, seen, "id", wanted),
        _transfers(cache, r, settings, seen),
        _requests(cache, r, settings, seen),
    )


@cached
def reading(settings: Settings) -> Reading:
    """How the fields of a cache with these settings are read."""
    places = {c.name: i for i, c in enumerate(settings.components)}

    def copies(c: Component | None) -> Access:
        return Access(f"{{0}}[{places[c.name] if c else 0}]", (Access("{0}.data", (ELEMENT,)),))

    def slots(c: Component | None, t: Tier | None) -> Access:
        return Access("{0}.device" if t is DEVICE else "{0}.host", (copies(c),))

    def size(name: str) -> Where:
        return lambda c, t: Access(f"{{0}}.{name}[{places[c.name] if c else 0}]", (ELEMENT,))

    page = settings.page_size
    first = "({0}[0] if {0} else None)" if page == 1 else f"({{0}}[:{page}] if len({{0}}) >= {page} else None)"
    fields: dict[tuple[Sort, str], Where] = {
        (Sort.NODE, "key_len"): _same("len({0})", _KEY),
        (Sort.NODE, "first_page"): _same(first, _KEY),
        (Sort.NODE, "hits"): _same("{0}.hits"),
        (Sort.NODE, "present"): lambda c, t: Access("({0} is not None)", (slots(c, t),)),
        (Sort.NODE, "tokens"): lambda c, t: Access("(0 if {0} is None else {0}.numel())", (slots(c, t),)),
        (Sort.NODE, "lock"): lambda c, t: Access("{0}.lock" if t is DEVICE else "{0}.host_lock", (copies(c),)),
        (Sort.NODE, "in_lru"): lambda c, t: Access(f"({{0}} in {_lru(c, t)})", (ELEMENT,)),
        (Sort.NODE, "lru_rank"): lambda c, t: Access(f"rank_{_lru(c, t)}.get({{0}}, -1)", (ELEMENT,)),
        (Sort.NODE, "in_device_leaves"): _same("({0} in device_leaves)"),
        (Sort.NODE, "in_host_leaves"): _same("({0} in host_leaves)"),
        (Sort.NODE, "write_pending"): _same("({0}.write_ack is not None)"),
        (Sort.NODE, "write_ack"): _same("(-1 if {0}.write_ack is None else {0}.write_ack)"),
        (Sort.NODE, "load_pending"): _same("({0}.load_ack is not None)"),
        (Sort.NODE, "load_ack"): _same("(-1 if {0}.load_ack is None else {0}.load_ack)"),
        (Sort.TREE, "evictable_size"): size("evictable"),
        (Sort.TREE, "protected_size"): size("protected"),
        (Sort.TREE, "lru_size"): lambda c, t: Access(f"len({_lru(c, t)})"),
        (Sort.TREE, "lru_length"): lambda c, t: Access(f"len(rank_{_lru(c, t)})"),
        (Sort.TREE, "device_leaves"): _same("len(device_leaves)"),
        (Sort.TREE, "host_leaves"): _same("len(host_leaves)"),
        **{(Sort.TRANSFER, name): _same(f"{{0}}.{name}") for name in Flight.__slots__},
        **{(Sort.REQUEST, name): _same(f"{{0}}.{name}") for name in Holder.__slots__},
    }
    return Reading(
        fields={FIELDS[at]: where for at, where in fields.items()},
        root="T.root",
        children=Access("{0}.children", (ELEMENT,)),
        parent=Access("{0}.parent", (ELEMENT,)),
        prepare=_prepared(settings),
        transfers=flights,
        requests=holders,
        lists={"key": _same("{0}", _KEY), "holds": lambda c, t: slots(c, t)},
    )


def _same(template: str, *parts: Access) -> Where:
    access = Access(template, parts or (ELEMENT,))
    return lambda c, t: access


def _lru(c: Component | None, t: Tier | None) -> str:
    assert c is not None and t is not None
    return f"lru_{t.value}_{c.name}"


def _prepared(settings: Settings) -> Mapping[str, Callable[[Any], object]]:
    found: dict[str, Callable[[Any], object]] = {
        "device_leaves": lambda cache: cache.device_leaves,
        "host_leaves": lambda cache: cache.host_leaves,
    }
    for i, c in enumerate(settings.components):
        for t in Tier:
            found[_lru(c, t)] = lambda cache, i=i, t=t: _list(cache, i, t)  # type: ignore[misc]
            found[f"rank_{_lru(c, t)}"] = lambda cache, i=i, t=t: _ranks(_list(cache, i, t))  # type: ignore[misc]
    return found


def _list(cache: UnifiedRadixCache, i: int, tier: Tier) -> Lru:
    return (cache.lru if tier is DEVICE else cache.host_lru)[i]


def _ranks(lru: Lru) -> dict[Node, int]:
    """Places in a list, from 0 for the most recently used."""
    return {node: rank for rank, node in enumerate(reversed(lru))}


@dataclass(frozen=True, slots=True)
class Flight:
    """A transfer in flight; attributes are the vocabulary's fields of a transfer."""

    is_write: bool
    is_load: bool
    ack: int
    node: Node
    node_in_tree: bool
    takes_lock: bool
    published: int
    queued: int


def flights(cache: UnifiedRadixCache) -> list[Flight]:
    """The transfers in flight, writes first, each kind in the order of submission."""
    found = []
    for lane in (cache.writes, cache.loads):
        for ack, x in lane.flying.items():
            here = is_attached(cache, x.node)
            found.append(
                Flight(
                    is_write=x.kind == "write", is_load=x.kind == "load", ack=ack,
                    node=x.node if here else cache.root, node_in_tree=here,
                    takes_lock=any(r.tier is DEVICE for r in x.receipts), published=len(x.nodes),
                    queued=lane.queue.count(ack),
                )
            )  # fmt: skip
    return found


def _in_flight(cache: UnifiedRadixCache) -> list[Transfer]:
    return [*cache.writes.flying.values(), *cache.loads.flying.values()]


@dataclass(frozen=True, slots=True)
class Holder:
    """A request; attributes are the vocabulary's fields of one."""

    node: Node
    node_in_tree: bool
    prefix_len: int


def holders(cache: UnifiedRadixCache) -> list[Holder]:
    """The requests, in the order of their table."""
    found = []
    for r in cache.requests.values():
        here = is_attached(cache, r.node)
        found.append(Holder(r.node if here else cache.root, here, r.prefix.numel()))
    return found


def is_attached(cache: UnifiedRadixCache, node: Node) -> bool:
    """Whether a walk up from a node reaches the root through parents that hold it."""
    met: set[Node] = set()
    while node is not cache.root:
        up = node.parent
        if up is None or node in met or not any(child is node for child in up.children.values()):
            return False
        met.add(node)
        node = up
    return True


def _pools(cache: UnifiedRadixCache, settings: Settings) -> tuple[dict[Key, Column], dict[Key, Lists]]:
    columns: dict[Key, Column] = {}
    lists: dict[Key, Lists] = {}
    for i, c in enumerate(settings.components):
        for t in Tier:
            pools = cache.device_pools if t is DEVICE else cache.host_pools
            p = pools[i] if pools else None
            columns[Key.of("capacity", c, t)] = Column(torch.tensor([p.capacity if p else 0]))
            columns[Key.of("available", c, t)] = Column(torch.tensor([p.available if p else 0]))
            lists[Key.of("free", c, t)] = Lists.of([p.free_slots if p else ()])
    return columns, lists


def _transfers(cache: UnifiedRadixCache, r: Reading, settings: Settings, seen: observe.Walk) -> Table:
    table = observe.record_table(list(flights(cache)), r, Sort.TRANSFER, settings, seen)
    columns, lists = dict(table.columns), dict(table.lists)
    transfers = _in_flight(cache)
    for c in settings.components:
        device = [_slots_of(x, c, DEVICE) for x in transfers]
        host = [_slots_of(x, c, HOST) for x in transfers]
        for t, own, read_by in ((DEVICE, device, "write"), (HOST, host, "load")):
            reads = [s if x.kind == read_by else () for x, s in zip(transfers, own, strict=True)]
            writes = [s if x.kind != read_by else () for x, s in zip(transfers, own, strict=True)]
            lists[Key.of("reads", c, t)] = Lists.of(reads)
            lists[Key.of("writes", c, t)] = Lists.of(writes)
        columns[Key.of("tokens", c)] = Column(torch.tensor([len(s) for s in device], dtype=torch.int64))
    return Table(table.ids, columns, lists)


def _slots_of(transfer: Transfer, c: Component, tier: Tier) -> list[int]:
    return [
        slot
        for s in transfer.spans
        if s.component == c.name
        for slot in (s.device if tier is DEVICE else s.host).tolist()
    ]


def _requests(cache: UnifiedRadixCache, r: Reading, settings: Settings, seen: observe.Walk) -> Table:
    table = observe.record_table(list(holders(cache)), r, Sort.REQUEST, settings, seen)
    lists = dict(table.lists)
    requests = list(cache.requests.values())
    for c in settings.components:
        for t in Tier:
            own: list[Tensor | tuple[()]] = [(r.own if t is DEVICE else r.own_host).get(c.name, ()) for r in requests]
            uses: list[Tensor | tuple[()]] = [r.prefix if c.backbone and t is DEVICE else () for r in requests]
            lists[Key.of("holds", c, t)] = Lists.of(own)
            lists[Key.of("uses", c, t)] = Lists.of(uses)
    numbers = torch.tensor([r.number for r in requests], dtype=torch.int64)
    return Table(numbers, table.columns, lists)
