"""Runs inside an engine's process: the reference cache and the engine's Python core on the same work."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import COMPONENTS, Policy
from sanitree.models.engines import drive
from sanitree.models.engines.build import EngineConfig, LiveEngine, build
from sanitree.models.reference import CacheConfig, UnifiedRadixCache

Ways = dict[str, list[Callable[[], object]]]
_KEPT: list[Tensor] = []


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
    times: dict[str, list[float]] = {}
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            sides = {"engine": _engine(live, work), "reference": _reference(cache, work)}
            for way in sides["engine"]:
                for side in sorted(sides, reverse=bool(turn % 2)):
                    steps = sides[side][way]
                    start = time.perf_counter()
                    for step in steps:
                        step()
                    times.setdefault(f"{side} {way}", []).append((time.perf_counter() - start) / len(steps))
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


def _engine(live: LiveEngine, work: list[tuple[int, ...]]) -> Ways:
    cache, names = live.cache, live.names
    keys = [drive.key(live, tokens) for tokens in work]
    matches = [names.MatchPrefixParams(key=key) for key in keys]
    leaf = names.EvictParams(num_tokens=1)

    def insert(i: int) -> None:
        slots = drive.alloc(live, len(work[i]))
        extra = {"mamba_value": live.mamba_allocator.alloc(1)} if live.mamba_allocator is not None else {}
        done = cache.insert(names.InsertParams(key=keys[i], value=slots, prev_prefix_len=0, **extra))
        if extra and done.mamba_exist:
            live.mamba_allocator.free(extra["mamba_value"])
        if live.controller is not None:
            cache.check_hicache_events()

    def lock(i: int) -> None:
        node = matched[i].last_device_node
        cache.dec_lock_ref(node, cache.inc_lock_ref(node).to_dec_params())

    def match(i: int) -> None:
        matched[i] = cache.match_prefix(matches[i])

    matched: dict[int, Any] = {}
    return _ways(len(work), insert, match, lock, lambda i: cache.evict(leaf))


def _reference(cache: UnifiedRadixCache, work: list[tuple[int, ...]]) -> Ways:
    per_token = [part.name for part in cache.parts if part.per_token]
    states = [part.name for part in cache.parts if not part.per_token]

    def insert(i: int) -> None:
        slots = {name: cache.alloc(name, len(work[i])) for name in per_token}
        slots |= {name: cache.alloc(name, 1) for name in states}
        for name in cache.insert(work[i], slots).left:  # type: ignore[arg-type]
            cache.free(name, slots[name])  # type: ignore[arg-type]
        if cache.config.tiered:
            cache.writing_check()
            cache.loading_check()

    def lock(i: int) -> None:
        cache.dec_lock_ref(cache.inc_lock_ref(matched[i].device_node))

    def match(i: int) -> None:
        matched[i] = cache.match_prefix(work[i])

    matched: dict[int, Any] = {}
    return _ways(len(work), insert, match, lock, lambda i: cache.evict({"full": 1}))


def _ways(
    count: int,
    insert: Callable[[int], object],
    match: Callable[[int], object],
    lock: Callable[[int], object],
    evict: Callable[[int], object],
) -> Ways:
    def each(do: Callable[[int], object]) -> list[Callable[[], object]]:
        return [lambda i=i: do(i) for i in range(count)]  # type: ignore[misc]

    return {
        "insert": each(insert),
        "again": each(insert),
        "match": each(match),
        "lock": each(lock),
        "evict": each(evict),
    }
