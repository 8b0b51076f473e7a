"""A live SGLang cache as the adapters look at it: where each version keeps what.

Nothing here changes the cache. It works on a fetched engine and inside a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import COMPONENTS, DEVICE, HOST, Component, Policy, Settings, Tier
from sanitree.models.engines import drive, store, traits
from sanitree.models.engines.build import FIRST_RUST, LiveEngine
from sanitree.models.engines.copies import Span, TransferEvent, spans_of
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.rust_listing import unpoisoned

_NODE_IDS = attrgetter("node_ids")
_POOL = {"full": "kv", "swa": "swa", "mamba": "mamba"}
NUMBER = {"full": 0, "swa": 1, "mamba": 2}


@dataclass(frozen=True, slots=True)
class Held:
    """A request that holds a lock: the node it ends at, as the engine names it (an object or an
    id), how much of its prompt the locked path holds (tokens), the slots it holds outside the
    tree on either tier, by component, and the full device slots that it reads as that prefix."""

    number: int
    node: Any
    prefix_len: int
    device: Mapping[str, tuple[int, ...]]
    host: Mapping[str, tuple[int, ...]]
    prefix: tuple[int, ...]

    def slots(self, component: Component, tier: Tier) -> tuple[int, ...]:
        """What it holds of one pool."""
        return (self.device if tier is DEVICE else self.host).get(component.name, ())


@dataclass(frozen=True, eq=False)
class View:
    """One live cache. requests: None where nobody can say which requests hold what.

    Raises `EngineError` for what is no cache, or visibly not one of `version`.
    """

    cache: Any
    version: str
    requests: Sequence[Held] | None = None
    settings: Settings = field(init=False)
    tree: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", getattr(self.cache, "tree_core", self.cache))
        with unpoisoned():
            _refuse_no_cache(self.cache, self.tree)
            _refuse_another_version(self)
            object.__setattr__(self, "settings", _settings(self.cache, self.version))

    @property
    def rust(self) -> bool:
        return "Rust" in type(self.tree).__name__

    @property
    def controller(self) -> Any | None:
        return getattr(self.cache, "cache_controller", None)


def view(live: LiveEngine, known: View | None = None) -> View:
    """The view of an engine that this process drives, with the requests that it holds; `known`: an earlier one of it,
    which spares looking what it is."""
    if known is None:
        return View(live.cache, live.version, tuple(_held(live)))
    again = copy(known)
    object.__setattr__(again, "requests", tuple(_held(live)))
    return again


def _held(live: LiveEngine) -> Iterator[Held]:
    """Who holds a lock that no transfer holds, and whose host slots are being filled from storage."""
    requests = {r.lock.number: r for r in live.requests}
    for lock in live.locks.values():
        slots = _own(live, requests.get(lock.number))
        yield Held(lock.number, lock.node, len(lock.slots), slots, {}, tuple(lock.slots.tolist()))
    for p in live.prefetches:
        yield Held(p.number, drive.root(live), 0, {}, {"full": tuple(p.slots.tolist())}, ())


def _own(live: LiveEngine, request: Any | None) -> dict[str, tuple[int, ...]]:
    """Device slots that a request holds outside the tree, by component."""
    if request is None:
        return {}
    own = () if request.finished else tuple(request.slots[request.protected :].tolist())
    slots = {"full": own}
    if live.swa_allocator is not None:
        mapping = live.allocator.full_to_swa_index_mapping
        slots["swa"] = tuple(s for s in mapping[list(own)].tolist() if s)
    if live.has("mamba"):  # forked when a request finishes, and the tree's at once
        slots["mamba"] = () if request.state is None else tuple(request.state.tolist())
    return slots


def _refuse_no_cache(cache: Any, tree: Any) -> None:
    lacking = [name for name in ("page_size", "token_to_kv_pool_allocator") if not hasattr(cache, name)]
    if not hasattr(cache, "tree_components") and not hasattr(tree, "component_types"):
        lacking.append("tree_components")
    if lacking:
        raise EngineError(
            f"a {type(cache).__name__} is no tiered cache of sglang, it has no {lacking[0]}: "
            "pass the scheduler's `tree_cache`, a UnifiedRadixCache"
        )


_SINCE = {
    "write_through_pending_id": "0.5.13",
    "_node_arena": "0.5.17",
    "full_host_duplicates": "0.5.18",
    "load_back_pending_id": "0.5.18",
}
"""What a Python core keeps, or each of its nodes, since which version: a cache cannot name its own."""


def _refuse_another_version(v: View) -> None:
    store.refuse_older(v.version)
    if v.rust:
        if not store.at_least(v.version, FIRST_RUST):
            raise _other(v, f"it has a Rust core, which came with {FIRST_RUST}")
        return
    # A build on the way to a release may have what comes with it, or not yet.
    release, building = store.version_key(v.version)[0], ".dev" in v.version
    for name, first in _SINCE.items():
        has = any(hasattr(x, name) for x in (v.tree, v.tree.root_node))
        if not has and store.at_least(v.version, first):
            raise _other(v, f"it has no {name}, which came with {first}")
        if has and not building and release < store.version_key(first)[0]:
            raise _other(v, f"it has {name}, which came with {first}")


def _other(v: View, why: str) -> EngineError:
    return EngineError(
        f"this cache is not of sglang {v.version}: {why}; pass the version that runs (sglang.__version__)"
    )


def _settings(cache: Any, version: str) -> Settings:
    controller = getattr(cache, "cache_controller", None)
    policy = Policy(controller.write_policy) if controller is not None else Policy.WRITE_THROUGH
    # From 0.5.17 a live cache may be switched; the flag is what it acts on.
    if getattr(cache, "is_write_back", policy is Policy.WRITE_BACK):
        policy = Policy.WRITE_BACK
    kinds = getattr(cache, "tree_components", None) or cache.tree_core.component_types
    components = tuple(_component(str(getattr(k, "name", k)).lower()) for k in kinds)
    found = set(traits.of_version(version))
    if controller is not None:
        found.add("tiered")
    if hasattr(cache.token_to_kv_pool_allocator, "full_to_swa_index_mapping"):
        found.add("maps_full_to_swa")
    return Settings(policy, components, frozenset(found), cache.page_size)


def _component(name: str) -> Component:
    if name not in COMPONENTS:
        known = ", ".join(COMPONENTS)
        raise EngineError(f"the cache has a component {name!r} that sanitree has no rules for: it knows {known}")
    return COMPONENTS[name]


# Pools.


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """A pool's allocator as observed: slots it can hand out, slots it says are available,
    and the slots in its free lists (a slot that was freed twice is there twice)."""

    capacity: int
    available: int
    free: Tensor


def pool(v: View, component: Component, tier: Tier) -> Pool | None:
    """The pool of a component on a tier; None where the cache has none."""
    if tier is HOST:
        return _host_pool(v, component)
    a = device_allocator(v, component)
    if component.name == "mamba":
        return Pool(a.size, a.available_size(), a.free_slots.to("cpu", torch.int64))
    parts = [a.free_pages]
    parts += [p for p in (getattr(a, "release_pages", None),) if p is not None]
    parts += list(getattr(a, "staged_pages", None) or ())
    pages = torch.cat([p.to("cpu", torch.int64).flatten() for p in parts])
    size = a.page_size
    slots = pages if size == 1 else (pages[:, None] * size + torch.arange(size)).flatten()
    return Pool(a.size, a.available_size(), slots)


def device_allocator(v: View, component: Component) -> Any:
    """What hands out a component's device slots."""
    if component.name == "mamba":
        requests = v.cache.req_to_token_pool
        return getattr(requests, "mamba_allocator", None) or requests.mamba_pool
    allocator = v.cache.token_to_kv_pool_allocator
    if component.name == "swa":
        return allocator.swa_attn_allocator
    return getattr(allocator, "full_attn_allocator", allocator)


def frees_later(v: View) -> bool:
    """Whether what is freed now is available only when the scheduler ends its group of frees."""
    a = v.cache.token_to_kv_pool_allocator
    if hasattr(a, "is_not_in_free_group"):
        return not a.is_not_in_free_group
    return getattr(a, "free_group", None) is not None


def _host_pool(v: View, component: Component) -> Pool | None:
    if v.controller is None:
        return None
    group = v.cache.host_pool_group
    entries = {str(e.name.value): e.host_pool for e in group.entries} if hasattr(group, "entries") else {"kv": group}
    host = entries.get(_POOL[component.name])
    if host is None:
        return None
    parts = [host.free_slots, *(getattr(host, "release_slots", None) or ())]
    free = torch.cat([p.to("cpu", torch.int64).flatten() for p in parts])
    # From 0.5.20: with context parallelism several slots share a row of the pool's memory.
    return Pool(getattr(host, "logical_size", host.size), host.available_size(), free)


def lends_host_slots(v: View) -> bool:
    """Whether host slots may be in the hands of a storage backend's threads, where nobody can list them.

    `ongoing_prefetch` and the release queues name only some: when a prefetch ends, its entry goes at once,
    and the thread that was filling the rest of its slots queues them for release when it gets there.
    """
    return bool(getattr(v.cache, "enable_storage", False) or getattr(v.controller, "enable_storage", False))


# Transfers.


@dataclass(frozen=True, slots=True)
class Flight:
    """A transfer that the cache waits for. Attributes are the vocabulary's fields of a transfer.

    reads, writes: slots by component; None where this controller does not keep them.
    """

    is_write: bool
    is_load: bool
    ack: int
    node: Any
    node_in_tree: bool
    takes_lock: bool
    published: int
    queued: int
    reads: dict[str, tuple[int, ...]] | None
    writes: dict[str, tuple[int, ...]] | None


def flights(v: View, inside: Callable[[Any], bool]) -> list[Flight]:
    """The transfers in flight: writes, then loads, in the order of their submission.

    `inside` says whether a node is in the tree.
    """
    found = []
    for write, registry in ((True, "ongoing_write_through"), (False, "ongoing_load_back")):
        entries = getattr(v.cache, registry, None) or {}
        queued, spans = _queues(v, "write" if write else "load") if entries else ({}, {})
        for ack, entry in entries.items():
            node = named(v, entry.node_id if hasattr(entry, "node_id") else entry[0])
            published = 1
            if write and len(entry) > 2:
                published = len(entry[2])
            own = spans.get(ack) if spans is not None else None
            device = None if own is None else {s.component: s.device for s in own}
            host = None if own is None else {s.component: s.host for s in own}
            here = node is not None and inside(node)
            found.append(
                Flight(
                    is_write=write, is_load=not write, ack=ack, node=node if here else root(v), node_in_tree=here,
                    takes_lock=entry[1] is not None, published=published, queued=queued.get(ack, 0),
                    reads=device if write else host, writes=host if write else device,
                )
            )  # fmt: skip
    return found


def flying(v: View) -> tuple[int, ...]:
    """Equal as long as the same transfers are in flight, queued alike: far cheaper than `flights`."""
    cache, controller = v.cache, v.controller
    if controller is None or not (cache.ongoing_write_through or cache.ongoing_load_back):
        return ()
    found: list[int] = []
    for registry, stream in (("ongoing_write_through", "write"), ("ongoing_load_back", "load")):
        if entries := getattr(cache, registry):
            found += entries
            found += map(id, entries.values())
            for queue in (getattr(controller, f"{stream}_queue"), getattr(controller, f"ack_{stream}_queue")):
                found += map(id, queue)
                found += map(len, map(_NODE_IDS, queue))
    return tuple(found)


def _queues(v: View, stream: str) -> tuple[dict[int, int], dict[int, list[Span]] | None]:
    """For each ack id: how often it is on its way, and what it copies (None if not kept)."""
    controller = v.controller
    assert controller is not None
    queued: dict[int, int] = {}
    spans: dict[int, list[Span]] | None = {}
    waiting = list(getattr(controller, f"{stream}_queue"))
    for operation in waiting:
        for i in operation.node_ids:
            queued[i] = queued.get(i, 0) + 1
    seen = spans_of(waiting)
    for ack in getattr(controller, f"ack_{stream}_queue"):
        for i in ack.node_ids:
            queued[i] = queued.get(i, 0) + 1
        if isinstance(ack.finish_event, TransferEvent):
            seen += ack.finish_event.transfer.spans
        else:
            spans = None
    if spans is not None:
        for s in seen:
            spans.setdefault(s.ack_id, []).append(s)
    return queued, spans


def named(v: View, node: Any) -> Any | None:
    """The node that an id names, None where it has left the tree; what is no id is a node itself.

    A Rust core has ids and no nodes: there an id stays what it is.
    """
    if v.rust or not isinstance(node, int):
        return node
    try:
        return v.tree.node_by_id(node)
    except KeyError:
        return None


def root(v: View) -> Any:
    """The root: a node of a Python core, an id of the Rust core."""
    # A core that is emptied numbers on, its root too.
    return v.cache.root_node_handle(None) if v.rust else v.tree.root_node


def is_attached(v: View, node: Any) -> bool:
    """Whether a node of a Python core is in the tree: a walk up reaches the root through parents that hold it."""
    seen = 0
    while node is not v.tree.root_node:
        up = node.parent
        seen += 1
        if up is None or seen > 100_000 or not any(c is node for c in up.children.values()):
            return False
        node = up
    return True
