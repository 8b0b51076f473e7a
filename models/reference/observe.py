"""The adapter: a reference cache as a checker sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache as cached
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE, FIELDS, HOST, Component, Settings, Sort, Tier
from sanitree.models import observe
from sanitree.models.reading import ELEMENT, Access, Reading, Where
from sanitree.models.reference import content
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.nodes import Node
from sanitree.models.reference.operations import Receipt
from sanitree.models.reference.plugins import readings
from sanitree.models.reference.serving import Request
from sanitree.models.reference.transfers import Transfer
from sanitree.models.reference.tree import Lru
from sanitree.models.snapshot import Column, Key, Lists, Origin, Snapshot, Table
from sanitree.models.subject import Subject

_TRAITS = frozenset({"locked_tombstones", "host_leaf_unlocked", "host_lock_delists", "marks_pending_loads"})
_KEY = Access("{0}.key", (ELEMENT,))
_UNKNOWN = -1


def subject(cache: UnifiedRadixCache, *, content: bool = False) -> Subject:
    """What a checker needs to know of a cache; with `content` its snapshots tell what every copy holds."""
    settings = settings_of(cache)
    if content:
        settings = replace(settings, traits=settings.traits | {"reads_bytes"})

    def taken(wanted: frozenset[Key] | None) -> Snapshot:
        return snapshot(cache, settings, wanted)

    return Subject(cache, settings, ("reference", settings), lambda: reading(settings), taken)


def settings_of(cache: UnifiedRadixCache) -> Settings:
    """What is fixed of a cache."""
    config = cache.config
    traits = _TRAITS | {"tiered"} if config.tiered else _TRAITS
    if config.hits_to_back_up is not None:
        traits |= {"own_threshold"}
    return Settings(config.policy, config.components, traits, config.page_size)


def snapshot(cache: UnifiedRadixCache, settings: Settings, wanted: frozenset[Key] | None = None) -> Snapshot:
    """Everything that can be observed of a cache now, or of its nodes only what is `wanted`."""
    r = reading(settings)
    seen = observe.walk(cache, r)
    columns, free = _pools(cache, settings)
    tree = Table(torch.zeros(1, dtype=torch.int64), {**observe.tree_columns(cache, r, settings), **columns}, free)
    nodes = observe.node_table(cache, r, settings, seen, "id", wanted)
    if "reads_bytes" in settings.traits:
        nodes = replace(nodes, columns={**nodes.columns, **_bytes(cache, settings, seen, wanted)})
    return Snapshot(
        Origin("reference", _version(), "python", datetime.now(UTC).isoformat(timespec="seconds")),
        settings,
        tree,
        nodes,
        _transfers(cache, r, settings, seen),
        _requests(cache, r, settings, seen),
    )


@cached  # reading it from the package's metadata takes as long as all the rest
def _version() -> str:
    return version("sanitree")


@cached  # one for each kind of cache, so that what is generated from it is too
def reading(settings: Settings) -> Reading:
    """How the fields of a cache with these settings are read."""
    places = {c.name: i for i, c in enumerate(settings.components)}

    def copies(c: Component | None) -> Access:
        return Access(f"{{0}}[{places[c.name] if c else 0}]", (Access("{0}.data", (ELEMENT,)),))

    def slots(c: Component | None, t: Tier | None) -> Access:
        return Access("{0}.device" if t is DEVICE else "{0}.host", (copies(c),))

    def available(c: Component | None, t: Tier | None) -> Access:
        pools = "{0}.device_pools" if t is DEVICE else "{0}.host_pools"
        return Access(f"({pools}[{places[c.name] if c else 0}].available if {pools} else 0)", (ELEMENT,))

    def size(name: str) -> Where:
        return lambda c, t: Access(f"{{0}}.{name}[{places[c.name] if c else 0}]", (ELEMENT,))

    more, names = readings(settings)
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
        (Sort.TREE, "available"): available,
        (Sort.TREE, "lru_size"): lambda c, t: Access(f"len({_lru(c, t)})"),
        (Sort.TREE, "lru_length"): lambda c, t: Access(f"len(rank_{_lru(c, t)})"),
        (Sort.TREE, "device_leaves"): _same("len(device_leaves)"),
        (Sort.TREE, "host_leaves"): _same("len(host_leaves)"),
        **{(Sort.TRANSFER, name): _same(f"{{0}}.{name}") for name in Flight.__slots__},
        **{(Sort.REQUEST, name): _same(f"{{0}}.{name}") for name in Holder.__slots__},
    }
    return Reading(
        fields={FIELDS[at]: where for at, where in fields.items()} | more,
        root="T.root",
        children=Access("{0}.children", (ELEMENT,)),
        parent=Access("{0}.parent", (ELEMENT,)),
        prepare={**_prepared(settings), **names},
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
    """Who holds a lock; attributes are the vocabulary's fields of a request."""

    node: Node
    node_in_tree: bool
    prefix_len: int


def holders(cache: UnifiedRadixCache) -> list[Holder]:
    """Every lock on the device that no transfer holds, oldest first: those of requests, and of whoever else has one."""
    found = []
    requests = _by_receipt(cache)
    for r in _receipts(cache):
        here = is_attached(cache, r.node)
        tokens = requests[r.number].prefix.numel() if r.number in requests else r.extents[0]
        found.append(Holder(r.node if here else cache.root, here, tokens))
    return found


def _receipts(cache: UnifiedRadixCache) -> list[Receipt]:
    own = {r.number for x in _in_flight(cache) for r in x.receipts}
    return [r for r in cache.receipts.values() if r.tier is DEVICE and r.number not in own]


def _by_receipt(cache: UnifiedRadixCache) -> dict[int, Request]:
    return {r.receipt.number: r for r in cache.requests.values()}


def is_attached(cache: UnifiedRadixCache, node: Node) -> bool:
    """Whether a walk up from a node reaches the root through parents that hold it."""
    met: set[Node] = set()
    while node is not cache.root:
        up = node.parent
        if up is None or node in met or not _holds(cache, up, node):
            return False
        met.add(node)
        node = up
    return True


def _holds(cache: UnifiedRadixCache, parent: Node, node: Node) -> bool:
    # Where it belongs first: a node may have many siblings.
    if node.key and parent.children.get(cache.edge(node.key)) is node:
        return True
    return any(child is node for child in parent.children.values())


def _bytes(
    cache: UnifiedRadixCache, settings: Settings, seen: observe.Walk, asked: frozenset[Key] | None
) -> dict[Key, Column]:
    """What each copy holds, and what it should; unknown without one, and while it is being written."""
    arriving = content.slots_arriving(cache)
    hashes: list[list[int]] = [[]]
    for node, parent in zip(seen.nodes[1:], seen.parents[1:], strict=True):
        above = hashes[parent]
        hashes.append(content.prefix_hashes(node.key, above[-1]) if above else content.prefix_hashes(node.key))
    found: dict[Key, Column] = {}
    for i, part in enumerate(cache.parts):
        for t in Tier:
            keys = [Key.of(name, settings.components[i], t) for name in ("bytes", "own_bytes")]
            if asked is not None and not any(key in asked for key in keys):
                continue
            holds, own = [0], [0]
            for node, path in zip(seen.nodes[1:], hashes[1:], strict=True):
                copies = node.data[i]
                slots = copies.device if t is DEVICE else copies.host
                if slots is None or not arriving[part.name, t].isdisjoint(slots.tolist()):
                    holds.append(_UNKNOWN)
                    own.append(_UNKNOWN)
                    continue
                wanted = path if part.per_token else path[-1:]
                holds.append(content.digest(content.held(cache, part.name, t, slots)))
                own.append(content.expected_digest(cache, part.name, wanted))
            for key, values in zip(keys, (holds, own), strict=True):
                found[key] = Column.of(values, int, [v > _UNKNOWN for v in values])
    return found


def _pools(cache: UnifiedRadixCache, settings: Settings) -> tuple[dict[Key, Column], dict[Key, Lists]]:
    columns: dict[Key, Column] = {}
    lists: dict[Key, Lists] = {}
    for i, c in enumerate(settings.components):
        for t in Tier:
            pools = cache.device_pools if t is DEVICE else cache.host_pools
            p = pools[i] if pools else None
            columns[Key.of("capacity", c, t)] = Column.of([p.capacity if p else 0], int)
            columns[Key.of("available", c, t)] = Column.of([p.available if p else 0], int)
            lists[Key.of("free", c, t)] = Lists.of([p.free_slots if p else ()])
    return columns, lists


def _transfers(cache: UnifiedRadixCache, r: Reading, settings: Settings, seen: observe.Walk) -> Table:
    table = observe.record_table(cache, list(flights(cache)), r, Sort.TRANSFER, settings, seen)
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
        columns[Key.of("tokens", c)] = Column.of([len(s) for s in device], int)
    return Table(table.ids, columns, lists)


def _slots_of(transfer: Transfer, c: Component, tier: Tier) -> list[int]:
    return [
        slot
        for s in transfer.spans
        if s.component == c.name
        for slot in (s.device if tier is DEVICE else s.host).tolist()
    ]


def _requests(cache: UnifiedRadixCache, r: Reading, settings: Settings, seen: observe.Walk) -> Table:
    table = observe.record_table(cache, list(holders(cache)), r, Sort.REQUEST, settings, seen)
    lists = dict(table.lists)
    numbers, by_receipt = [x.number for x in _receipts(cache)], _by_receipt(cache)
    requests = [by_receipt.get(number) for number in numbers]
    for c in settings.components:
        for t in Tier:
            own = [_held(x, c, t) for x in requests]
            uses = [x.prefix if x is not None and c.backbone and t is DEVICE else () for x in requests]
            lists[Key.of("holds", c, t)] = Lists.of(own)
            lists[Key.of("uses", c, t)] = Lists.of(uses)
    return Table(torch.tensor(numbers, dtype=torch.int64), table.columns, lists)


def _held(request: Request | None, c: Component, tier: Tier) -> Tensor | tuple[()]:
    if request is None:
        return ()
    return (request.own if tier is DEVICE else request.own_host).get(c.name, ())
