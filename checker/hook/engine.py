"""Tier 1 on a live SGLang cache: its allocators, its own takes and its controller, heard by shadows.

Allocators are those under the composite ones. A free that is deferred by a free group counts
when it is made. Locks, and all that moves no slot, are not heard and cost nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sanitree.checker.hook.device import ShadowOnDevice
from sanitree.checker.hook.faults import Fault, Rule
from sanitree.checker.hook.flights import Flights
from sanitree.checker.hook.shadow import Clock, PoolShape, Shadow, Tell
from sanitree.checker.hook.wrapping import Heard, Wrapped
from sanitree.invariants.vocabulary import COMPONENTS, DEVICE, HOST
from sanitree.models.engines.view import View, pool

_ALLOCATORS = frozenset({"TokenToKVPoolAllocator", "PagedTokenToKVPoolAllocator", "MambaSlotAllocator", "MambaPool"})
"""What is known of how they hand out and take back. Another's slots are not tracked, which `untracked` says."""

_TAKES = ("alloc", "alloc_extend", "alloc_decode")
_GIVES = ("free", "free_segment")
_QUIET = ("free_group_end", "alloc_group_begin", "alloc_group_end")
"""What they free and take is heard when it is asked for, or when it is handed on."""

_IN_FLIGHT = (Rule.slot_in_flight_is_not_freed, Rule.slot_in_flight_is_not_handed_out)


@dataclass(frozen=True, slots=True)
class _Tracked:
    component: str
    tier: str
    allocator: Any
    shadow: Shadow


class Sanitizer:
    """The shadows of one cache. `guard` makes a hook's body harmless; `tell` takes what is found.

    untracked: what could not be followed, and why, in words.
    """

    def __init__(
        self,
        view: View,
        tell: Tell,
        guard: Callable[[Heard], Heard],
        on_device: bool | None = None,
        blocking: bool = False,
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        """Of a cache as its view shows it.

        on_device: whether device indices are never read back; None: where they are on a
        GPU. blocking: waits for the device's answers. rest: called between two operations
        of the cache, where its tree is whole.
        """
        self._cache, self._told, self._guard = view.cache, tell, guard
        self._blocking, self._rest = blocking, rest
        self.clock = Clock()
        self.changes = 0
        """Grows with every operation that may have changed the tree or a pool."""
        self.untracked: list[str] = []
        self._wrapped = Wrapped()
        self._tracked = list(self._track(view, on_device))
        self.pools = {(t.component, t.tier): t.shadow for t in self._tracked}
        self._flights: Flights | None = None
        self._sizes = [
            (self.pools[c, "device"], getattr(view.cache, evictable), getattr(view.cache, protected))
            for c, (evictable, protected) in _COUNTED.items()
            if (c, "device") in self.pools
        ]
        self._depth = 0
        self._rested = -1
        for t in self._tracked:
            self._hear_allocator(t)
        if view.controller is not None:
            self._flights = Flights(view.controller, self.pools, self.clock, guard)
            self._flights.listen(self._wrapped)
            self.clock.settle = self._flights.settle
        self._hear_cache()
        for t in self._tracked:
            self.untracked += self._wrapped.rebind(t.allocator)

    def stop(self) -> None:
        """Gives every method back."""
        self._wrapped.undo()

    def settle(self) -> None:
        """Lands transfers, and tells what arrived from a device since."""
        self.clock.settle()
        for t in self._tracked:
            t.shadow.settle()

    def idle(self, lent: bool = False) -> None:
        """Nothing runs: slots that are neither free nor the tree's have leaked. lent: storage may hold host slots."""
        self.settle()
        if self._rested == self.clock.serial:
            return
        self._rested = self.clock.serial
        for t in self._tracked:
            if t.tier == DEVICE.value or not lent:
                t.shadow.idle(self.clock.rest())

    # What is heard.

    def _track(self, view: View, on_device: bool | None) -> Iterator[_Tracked]:
        for component in view.settings.components:
            for tier in (DEVICE, HOST):
                name, found = f"{component.name} {tier.value}", _allocator(view, component.name, tier.value)
                if found is None:
                    continue
                seen = pool(view, COMPONENTS[component.name], tier)
                assert seen is not None
                if tier is DEVICE and type(found).__name__ not in _ALLOCATORS:
                    self.untracked.append(f"{name}: an allocator {type(found).__name__} that sanitree does not know")
                    continue
                unit = getattr(found, "page_size", 1) if tier is DEVICE and component.per_token else 1
                padding = 1 if tier is DEVICE else 0
                shape = PoolShape(name, seen.capacity // unit + padding, unit, bool(padding))
                kind = Shadow
                device = str(getattr(found, "device", "cpu"))
                if tier is DEVICE and (on_device if on_device is not None else not device.startswith("cpu")):
                    kind = partial(ShadowOnDevice, device=device, blocking=self._blocking)  # type: ignore[assignment]
                shadow = kind(shape, self.clock, self._tell)
                if len(seen.free) != seen.capacity:
                    shadow.begin(seen.free)
                yield _Tracked(component.name, tier.value, found, shadow)

    def _hear_allocator(self, t: _Tracked) -> None:
        quiet = _Quiet()
        for name in _TAKES:
            self._wrapped.hear(t.allocator, name, partial(self._takes, t.shadow, quiet))
        for name in _GIVES:
            self._wrapped.hear(t.allocator, name, partial(self._gives, t.shadow, quiet, 1))
        self._wrapped.hear(t.allocator, "free_page_ids", partial(self._gives, t.shadow, quiet, t.shadow.shape.unit))
        for name in _QUIET:
            self._wrapped.hear(t.allocator, name, quiet.during)
        self._wrapped.hear(t.allocator, "clear", partial(self._clears, t.shadow))

    def _takes(self, shadow: Shadow, quiet: _Quiet, method: Heard) -> Heard:
        def takes(slots: Any) -> None:
            if slots.numel():
                shadow.take(slots, self.clock.now(2))

        note = self._guard(takes)

        def alloc(*args: Any, **more: Any) -> Any:
            slots = method(*args, **more)
            if slots is not None and not quiet.on:
                note(slots)
            return slots

        return alloc

    def _gives(self, shadow: Shadow, quiet: _Quiet, unit: int, method: Heard) -> Heard:
        def gives(slots: Any) -> None:
            if slots.numel():
                shadow.give(slots if unit == 1 else slots * unit, self.clock.now(2))

        note = self._guard(gives)

        def free(slots: Any, *args: Any, **more: Any) -> Any:
            if quiet.on:
                return method(slots, *args, **more)
            note(slots)
            quiet.on = True
            try:
                return method(slots, *args, **more)
            finally:
                quiet.on = False

        return free

    def _clears(self, shadow: Shadow, method: Heard) -> Heard:
        forget = self._guard(shadow.clear)

        def clear(*args: Any, **more: Any) -> Any:
            result = method(*args, **more)
            forget()
            return result

        return clear

    def _hear_cache(self) -> None:
        hear = partial(self._wrapped.hear, self._cache)
        hear("insert", self._inserts)
        hear("match_prefix", self._matches)
        for name in ("evict", "evict_for_alloc", "load_back", "writing_check", "loading_check"):
            hear(name, self._counts)

    def _inserts(self, method: Heard) -> Heard:
        offer, adopt = self._guard(self._offers()), self._guard(self._adopts())
        check = self._guard(self._count)

        def insert(params: Any, *args: Any, **more: Any) -> Any:
            offered = offer(params)
            self._depth += 1
            try:
                result = method(params, *args, **more)
            finally:
                self._depth -= 1
            if offered is not None:
                adopt(params, offered, result)
            check()
            return result

        return insert

    def _offers(self) -> Callable[[Any], _Offer | None]:
        """What judges what a request gives the tree, before the tree has looked at it."""
        cache, full, windows = self._cache, self.pools.get(("full", "device")), ("swa", "device") in self.pools
        page, pairs = cache.page_size, bool(getattr(cache, "is_eagle", False))
        maps = windows and hasattr(cache.token_to_kv_pool_allocator, "full_to_swa_index_mapping")

        def offer(params: Any) -> _Offer | None:
            value = params.value
            if value is None or full is None or getattr(cache, "disable", False):
                return None
            count = min(max(len(params.key) - pairs, 0), value.numel()) // page * page
            prefix = min(params.prev_prefix_len, count)
            at, rows = self.clock.now(2), value
            if count > prefix:
                rows = full.offer(value, prefix, count, at)
            peers = None
            if maps:  # before the tree re-points or clears any
                peers = cache.token_to_kv_pool_allocator.full_to_swa_index_mapping[value]
            return at, prefix, count, rows, peers

        return offer

    def _adopts(self) -> Callable[[Any, _Offer, Any], None]:
        """What notes that the tree has what it did not free of it."""
        full, swa, mamba = (self.pools.get((name, "device")) for name in ("full", "swa", "mamba"))

        def adopt(params: Any, given: _Offer, result: Any) -> None:
            at, prefix, count, rows, peers = given
            if count > prefix and full is not None:
                full.adopt(rows, prefix, count, at)
                if peers is not None and swa is not None:
                    swa.adopt(peers, prefix, count, at)
            state = None if mamba is None else getattr(params, "mamba_value", None)
            if mamba is not None and state is not None and not result.mamba_exist:
                mamba.adopt(state, 0, state.numel(), at)

        return adopt

    def _matches(self, method: Heard) -> Heard:
        full = self.pools.get(("full", "device"))

        def uses(slots: Any) -> None:
            if full is not None:
                full.use(slots, self.clock.now(2))

        use = self._guard(uses)

        def match_prefix(*args: Any, **more: Any) -> Any:
            found = method(*args, **more)
            self.changes += 1  # it may have split a node
            slots = getattr(found, "device_indices", None)
            if slots is not None and slots.numel():
                use(slots)
            return found

        return match_prefix

    def _counts(self, method: Heard) -> Heard:
        check = self._guard(self._count)

        def counted(*args: Any, **more: Any) -> Any:
            self._depth += 1
            try:
                result = method(*args, **more)
            finally:
                self._depth -= 1
            check()
            return result

        return counted

    def _count(self) -> None:
        """The tree's own counters against what it took and did not free; between operations of the cache only."""
        if self._depth:
            return
        if self._flights is not None and self._flights.settle():
            self.changes += 1
        for shadow, evictable, protected in self._sizes:
            if shadow.tree is not None and (said := evictable() + protected()) != shadow.tree:
                shadow.miscounted(said, self.clock.now(2))
        self._rest()

    def _tell(self, fault: Fault) -> None:
        if self._flights is not None and fault.rule in _IN_FLIGHT:
            fault = replace(fault, flight=self._flights.using(fault.pool, (s.number for s in fault.slots)))
        self._told(fault)


_COUNTED: Mapping[str, tuple[str, str]] = {
    "full": ("full_evictable_size", "full_protected_size"),
    "mamba": ("mamba_evictable_size", "mamba_protected_size"),
}
"""Sums over all device copies that a cache keeps. Of windows it keeps one too, but counts tokens without a slot."""


_Offer = tuple[int, int, int, Any, Any]
"""What a request gives the tree: the operation, tokens that are the tree's already, tokens in all, their slots as
`Shadow.adopt` takes them, and the windows' slots of the same tokens."""


class _Quiet(threading.local):
    """Whether an allocator is at work on its own behalf: what it calls of itself is not heard again.

    In each thread for itself: what another calls meanwhile is heard.
    """

    on = False

    def during(self, method: Heard) -> Heard:
        def quietly(*args: Any, **more: Any) -> Any:
            before, self.on = self.on, True
            try:
                return method(*args, **more)
            finally:
                self.on = before

        return quietly


def _allocator(view: View, component: str, tier: str) -> Any | None:
    """The object that hands out a pool's slots."""
    if tier == HOST.value:
        if view.controller is None:
            return None
        group = view.cache.host_pool_group
        if not hasattr(group, "entries"):
            return group if component == "full" else None
        name = {"full": "kv"}.get(component, component)
        return next((e.host_pool for e in group.entries if str(e.name.value) == name), None)
    allocator = view.cache.token_to_kv_pool_allocator
    if component == "mamba":
        requests = view.cache.req_to_token_pool
        return getattr(requests, "mamba_allocator", None) or requests.mamba_pool
    if component == "swa":
        return getattr(allocator, "swa_attn_allocator", None)
    return getattr(allocator, "full_attn_allocator", allocator)
