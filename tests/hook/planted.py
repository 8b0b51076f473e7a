"""Runs inside an engine's process: faults planted on real pools, and who says what about them, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sanitree.checker.hook.faults import SlotMisused
from sanitree.checker.hook.watcher import Mode, Watcher, watch_engine
from sanitree.models.engines import drive, serving
from sanitree.models.engines.build import EngineConfig, LiveEngine, build
from tests.hook import oracles

PROMPT = (1, 2, 3, 4)


def run(version: str, core: str | None, on_device: bool = False) -> dict[str, Any]:
    """Every fault on a cache of its own: what was told at the operation, and what the engine's oracles say then."""
    return {plant.__name__: _planted(version, core, plant, on_device) for plant in PLANTS}


def _planted(version: str, core: str | None, plant: Callable[..., None], on_device: bool) -> dict[str, Any]:
    live = build(version, EngineConfig(policy="write_through", core=core), mode="manual")  # type: ignore[arg-type]
    told: list[str] = []
    watcher = watch_engine(live.cache, Mode.LOG, version=version, on_device=on_device or None)
    serving.insert(live, PROMPT)
    serving.insert(live, (1, 2, 30, 40))
    assert not watcher.faults and not watcher.broken
    assert not oracles.idle_check(live) and not oracles.busy_check(live), "the engine's checks are content before"
    plant(live, watcher, told)
    if on_device:
        watcher.sanitizer.settle()
    faults = list(watcher.faults)
    return {
        "at the operation": told,
        "rules": [f.rule.name for f in faults],
        "stacks": [bool(f.operation.stack) for f in faults],
        "since": [any(s.since.stack for s in f.slots) for f in faults],
        "engine's check": list(drive.engine_sanity_check(live)),
        "engine's count": oracles.idle_check(live),
        "engine, busy": oracles.busy_check(live),
        "off": watcher.off,
    }


def _told(watcher: Watcher, told: list[str], operation: Callable[[], object]) -> None:
    """Does the one operation that is at fault, and notes what was told when it had returned."""
    before = len(watcher.faults)
    operation()
    told += [f.rule.name for f in list(watcher.faults)[before:]]


def freed_twice(live: LiveEngine, watcher: Watcher, told: list[str]) -> None:
    slots = drive.alloc(live, 3)
    assert slots is not None
    drive.free(live, slots)
    _told(watcher, told, lambda: live.full_allocator.free(slots))


def tree_slot_freed(live: LiveEngine, watcher: Watcher, told: list[str]) -> None:
    live.copies.run_all()
    drive.drain(live)
    slots = drive.match(live, (1, 2, 30, 40)).slots
    _told(watcher, told, lambda: live.full_allocator.free(slots[-1:]))


def freed_while_read(live: LiveEngine, watcher: Watcher, told: list[str]) -> None:
    slots = drive.match(live, (1, 2, 30, 40)).slots
    assert live.copies.pending("write")
    _told(watcher, told, lambda: live.full_allocator.free(slots[-1:]))


def reused_while_read(live: LiveEngine, watcher: Watcher, told: list[str]) -> None:
    """The slot gets into the free list without a free, as a wild write would have it."""
    slots = drive.match(live, (1, 2, 30, 40)).slots
    assert live.copies.pending("write")
    live.full_allocator.free_pages = torch.cat([slots[-1:], live.full_allocator.free_pages])
    _told(watcher, told, lambda: live.full_allocator.alloc(1))


def dropped_by_the_tree(live: LiveEngine, watcher: Watcher, told: list[str]) -> None:
    """An eviction that frees one slot less than its node had."""
    live.copies.run_all()
    drive.drain(live)
    holders = [(live.full_allocator, "free"), (live.full_allocator, "free_segment")]
    holders += [(c, "_free_full") for c in getattr(live.cache, "components", {}).values()]
    for holder, name in holders:
        if hasattr(holder, name):
            real = getattr(holder, name)
            setattr(holder, name, lambda slots, *a, real=real, **k: real(slots[1:], *a, **k))
    _told(watcher, told, lambda: drive.evict(live, 2))


def dropped_by_a_request(live: LiveEngine, watcher: Watcher, told: list[str]) -> None:
    """A request that ends, and forgets a slot: nobody can know before nothing runs any more."""
    live.copies.run_all()
    drive.drain(live)
    slots = drive.alloc(live, 3)
    assert slots is not None
    drive.free(live, slots[1:])
    _told(watcher, told, watcher.idle)


def matched_after_free(live: LiveEngine, watcher: Watcher, told: list[str]) -> None:
    """What the tree holds is freed, and then served."""
    live.copies.run_all()
    drive.drain(live)
    slots = drive.match(live, (1, 2, 30, 40)).slots
    live.full_allocator.free(slots[-1:])
    _told(watcher, told, lambda: drive.match(live, (1, 2, 30, 40)))


PLANTS = (
    freed_twice,
    tree_slot_freed,
    freed_while_read,
    reused_while_read,
    dropped_by_the_tree,
    dropped_by_a_request,
    matched_after_free,
)


def raised(version: str) -> dict[str, Any]:
    """Mode raise: the free that is at fault raises before the allocator has seen it."""
    live = build(version, EngineConfig(policy="write_through"), mode="instant")
    watch_engine(live.cache, "raise", version=version)
    slots = drive.alloc(live, 3)
    assert slots is not None
    drive.free(live, slots)
    before = live.full_allocator.available_size()
    try:
        drive.free(live, slots)
    except SlotMisused as error:
        return {"rule": error.fault.rule.name, "untouched": live.full_allocator.available_size() == before}
    return {"rule": "", "untouched": True}


def broken_watcher(version: str) -> dict[str, Any]:
    """A fault inside sanitree: the engine works on, the watcher is off, and its hooks are gone."""
    live = build(version, EngineConfig(policy="write_through"), mode="instant")
    watcher = watch_engine(live.cache, "log", version=version)
    watcher.sanitizer.pools["full", "device"]._state = None  # type: ignore[attr-defined]
    serving.insert(live, PROMPT)
    serving.insert(live, (1, 2, 7, 8))
    return {
        "off": watcher.off,
        "served": drive.match(live, PROMPT).slots.numel(),
        "hooks": [n for o, n in ((live.cache, "insert"), (live.allocator, "free")) if n in vars(o)],
    }  # fmt: skip
