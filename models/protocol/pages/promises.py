"""What can always still be done in the page model, whatever has happened: nothing is ever stuck for good."""

from __future__ import annotations

from sanitree.invariants.language import Expr, all_of, any_of, count, nodes, requests, some, transfers
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.shown import taken
from sanitree.models.protocol.system import Promise

_EVICTIONS = ("demote", "write_back", "drop", "evict_host")


def promises(m: Pages) -> tuple[Promise, ...]:
    """Those of a configuration."""
    found = [loads_end(), evictable_is_evicted(m), nothing_is_left(m)]
    return (writes_end(), *found) if m.writes_through else tuple(found)


def _promise(name: str, prose: str, source: Expr, goal: Expr, actions: tuple[str, ...] = ()) -> Promise:
    return Promise(name, prose, source.term, goal.term, frozenset(actions))


def writes_end() -> Promise:
    """Acknowledgements of writes come."""
    flying = some(transfers, lambda x: x.is_write)
    return _promise("writes_can_end", "Every write in flight can still be acknowledged.", flying, ~flying)


def loads_end() -> Promise:
    """Acknowledgements of loads come."""
    flying = some(transfers, lambda x: x.is_load)
    return _promise("loads_can_end", "Every load in flight can still be acknowledged.", flying, ~flying)


def evictable_is_evicted(m: Pages) -> Promise:
    """What counts as evictable can be evicted, and by evictions alone."""
    names = (*_EVICTIONS, *(f"{a}_{c.name}" for a in ("evict_copy", "evict_host_copy") for c in m.auxiliary))
    evictable = any_of(*(_evictable(c) for c in m.components))
    return _promise(
        "evictable_can_be_evicted", "All that no lock protects on the device, evictions alone can free.",
        evictable, ~evictable, names,
    )  # fmt: skip


def _evictable(c: Component) -> Expr:
    return some(nodes, lambda y: all_of(~y.is_root, y[c].on_device, y[c].lock == 0))


def nothing_is_left(m: Pages) -> Promise:
    """The cache can be emptied."""
    held = [taken(c, tier) == 0 for c in m.components for tier in (DEVICE, HOST)]
    empty = all_of(count(requests) == 0, count(transfers) == 0, *held, ~some(nodes, lambda y: w.there(y) & ~y.is_root))
    cached = some(nodes, lambda y: y[FULL].on_device & ~y.is_root) | some(nodes, lambda y: y[FULL].on_host)
    return _promise("cache_can_be_emptied", "Whatever is cached, every slot can become free again.", cached, empty)
