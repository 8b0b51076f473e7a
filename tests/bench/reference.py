"""Runs inside an engine's process: the reference cache and the engine's Python core on the same work."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import COMPONENTS, Policy
from sanitree.models.engines import drive
from sanitree.models.engines.build import EngineConfig, LiveEngine, build
from sanitree.models.reference import CacheConfig, Node, UnifiedRadixCache


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two caches; each operation takes a prompt's number. match returns the tokens
    found on the device; free, the device slots that are free."""

    insert: Callable[[int], object]
    match: Callable[[int], int]
    lock: Callable[[int], object]
    evict: Callable[[int], object]
    free: Callable[[], int]


def measure(
    version: str, components: list[str], prompts: int = 200, rounds: int = 15, page: int = 1, host: bool = False
) -> dict[str, float]:
    """Seconds of one operation, by "engine WAY" and "reference WAY": medians over interleaved
    rounds of the mean over a round's operations.

    Ways: insert (allocation included), again (the same tokens once more: all duplicates),
    match, lock (and release), and evict (until one leaf is gone). With `host` there is a
    host tier under write_through: inserts back up, and evictions demote.
    """
    torch.set_num_threads(1)
    work = _prompts(prompts, page)
    room = 2 * sum(map(len, work))
    live = build(
        version,
        EngineConfig(
            policy="write_through", components=tuple(components), core="python", page_size=page,  # type: ignore[arg-type]
            device_tokens=room, mamba_slots=2 * prompts, host_ratio=2.0, host_tier=host, layers=2,
        ),
        mode="instant",
    )  # fmt: skip
    slots = {c: room if COMPONENTS[c].per_token else 2 * prompts for c in components}
    cache = UnifiedRadixCache(
        CacheConfig(
            policy=Policy.WRITE_THROUGH, components=tuple(COMPONENTS[c] for c in components), page_size=page,
            device_slots=slots, host_slots={c: 2 * n for c, n in slots.items()} if host else None,
        )
    )  # fmt: skip
    sides = {"engine": _engine(live, work), "reference": _reference(cache, work)}
    times: dict[str, list[float]] = {}
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            for way in ("insert", "again", "match", "lock", "evict"):
                told = []
                for name in sorted(sides, reverse=bool(turn % 2)):
                    do = getattr(sides[name], "insert" if way == "again" else way)
                    start = time.perf_counter()
                    results = [do(i) for i in range(prompts)]
                    times.setdefault(f"{name} {way}", []).append((time.perf_counter() - start) / prompts)
                    told.append((results if way == "match" else None, sides[name].free()))
                # Which leaf is the oldest, after a split, each cache has its own mind about.
                assert way == "evict" or told[0] == told[1], f"{way}: the two did different work"
            drive.drain(live)
            drive.reset(live)
            cache.reset()
            gc.collect()
    finally:
        gc.enable()
    return {name: statistics.median(found) for name, found in times.items()}


def _prompts(count: int, page: int) -> list[tuple[int, ...]]:
    """Prompts that share prefixes: stems of two pages, and up to three branches of two more."""
    r = random.Random(1)
    found: dict[tuple[int, ...], None] = {}
    while len(found) < count:
        tokens = (r.randrange(count // 4),) * (2 * page)
        for _ in range(r.randrange(4)):
            tokens += (10_000 + r.randrange(3),) * (2 * page)
        found[tokens] = None
    return list(found)


def _engine(live: LiveEngine, work: list[tuple[int, ...]]) -> Side:
    cache, names, states = live.cache, live.names, live.mamba_allocator
    keys = [drive.key(live, tokens) for tokens in work]
    matches = [names.MatchPrefixParams(key=key) for key in keys]
    leaf = names.EvictParams(num_tokens=1)
    ends: dict[int, Any] = {}

    def insert(i: int) -> None:
        slots = drive.alloc(live, len(work[i]))
        extra = {} if states is None else {"mamba_value": states.alloc(1)}
        done = cache.insert(names.InsertParams(key=keys[i], value=slots, prev_prefix_len=0, **extra))
        if states is not None and done.mamba_exist:
            states.free(extra["mamba_value"])
        if live.controller is not None:
            cache.check_hicache_events()

    def match(i: int) -> int:
        found = cache.match_prefix(matches[i])
        ends[i] = found.last_device_node
        return len(found.device_indices)

    def lock(i: int) -> None:
        cache.dec_lock_ref(ends[i], cache.inc_lock_ref(ends[i]).to_dec_params())

    return Side(insert, match, lock, lambda i: cache.evict(leaf), lambda: int(live.full_allocator.available_size()))


def _reference(cache: UnifiedRadixCache, work: list[tuple[int, ...]]) -> Side:
    ends: dict[int, Node] = {}

    def insert(i: int) -> None:
        slots: dict[str, Tensor] = {}
        for part in cache.parts:
            new = cache.alloc(part.name, len(work[i]) if part.per_token else 1)
            assert new is not None
            slots[part.name] = new
        for name in cache.insert(work[i], slots).left:
            cache.free(name, slots[name])
        if cache.config.tiered:
            cache.writing_check()
            cache.loading_check()

    def match(i: int) -> int:
        found = cache.match_prefix(work[i])
        ends[i] = found.device_node
        return len(found.slots)

    def lock(i: int) -> None:
        cache.dec_lock_ref(cache.inc_lock_ref(ends[i]))

    full = cache.device_pools[0]
    return Side(insert, match, lock, lambda i: cache.evict({"full": 1}), lambda: full.available)
