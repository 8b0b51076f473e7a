"""Runs inside an engine's process: what watching costs an operation, and how long a slice of the full walk takes."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from sanitree.checker.hook.watcher import Watcher, watch_engine
from sanitree.models.engines import drive, serving
from sanitree.models.engines.build import EngineConfig, LiveEngine, build
from tests.bench.live import grown

PAGE = 16
"""Tokens of what is allocated and inserted."""

UNWATCHED, WATCHED, DEVICE = "unwatched", "watched", "watched, never read back"


class Cache:
    """One cache and the operations that are timed on it. Each does its work `count` times and returns seconds."""

    def __init__(self, version: str, core: str | None, how: str) -> None:
        config = EngineConfig(
            policy="write_through_selective", core=core, device_tokens=8192, host_ratio=1.5, layers=2, requests=64
        )  # type: ignore[arg-type]
        self.live: LiveEngine = build(version, config, mode="instant")
        self.watcher: Watcher | None = None
        if how != UNWATCHED:
            self.watcher = watch_engine(self.live.cache, "log", version=version, on_device=how == DEVICE or None)
        self._next = 0

    def _fill(self) -> None:
        """Prompts to be matched: evictions of other operations may have taken them."""
        for i in range(64):
            serving.insert(self.live, (i, *range(1000, 1000 + 3 * PAGE)))

    def match(self, count: int) -> float:
        self._fill()
        keys = [drive.key(self.live, (i % 64, *range(1000, 1000 + 3 * PAGE))) for i in range(count)]
        parameters = [self.live.names.MatchPrefixParams(key=k) for k in keys]
        call, start = self.live.cache.match_prefix, time.perf_counter()
        for p in parameters:
            call(p)
        return time.perf_counter() - start

    def lock_and_unlock(self, count: int) -> float:
        self._fill()
        node = drive.match(self.live, (1, *range(1000, 1000 + 3 * PAGE))).device_node
        cache, start = self.live.cache, time.perf_counter()
        for _ in range(count):
            cache.dec_lock_ref(node, cache.inc_lock_ref(node).to_dec_params())
        return time.perf_counter() - start

    def alloc_and_free(self, count: int) -> float:
        allocator, start = self.live.allocator, time.perf_counter()
        for _ in range(count):
            allocator.free(allocator.alloc(PAGE))
        return time.perf_counter() - start

    def alloc_and_insert(self, count: int) -> float:
        keys = []
        for _ in range(count):
            self._next += 1
            keys.append(drive.key(self.live, (10_000 + self._next, *range(2000, 2000 + PAGE - 1))))
        live, start = self.live, time.perf_counter()
        for key in keys:
            live.cache.insert(live.names.InsertParams(key=key, value=live.allocator.alloc(PAGE)))
        return time.perf_counter() - start

    def evict(self, count: int) -> float:
        """Of what `alloc_and_insert` left, a leaf a call."""
        parameters = self.live.names.EvictParams(num_tokens=PAGE)
        call, start = self.live.cache.evict, time.perf_counter()
        for _ in range(count):
            call(parameters)
        return time.perf_counter() - start

    def load_back(self, count: int) -> float:
        """Each of a prompt that was backed up and evicted; starting the load and its acknowledgement included."""
        live, spent = self.live, 0.0
        for i in range(count):
            prompt = (20_000 + i % 8, *range(3000, 3000 + PAGE - 1))
            for _ in range(3):
                serving.insert(live, prompt)
            drive.drain(live)
            drive.evict(live, live.cache.evictable_size())
            found = drive.match(live, prompt)
            start = time.perf_counter()
            live.cache.load_back(found.best_node)
            live.cache.ready_to_load_host_cache()
            live.cache.check_hicache_events()
            spent += time.perf_counter() - start
            assert found.needs_load
        return spent


OPERATIONS: dict[str, tuple[Callable[[Cache, int], float], int]] = {
    "match": (Cache.match, 200),
    "lock and unlock": (Cache.lock_and_unlock, 200),
    "alloc and free": (Cache.alloc_and_free, 200),
    "alloc and insert": (Cache.alloc_and_insert, 200),
    "evict": (Cache.evict, 200),
    "load back": (Cache.load_back, 8),
}


def operations(version: str, core: str | None, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each operation, unwatched and watched: medians over rounds that take turns in one process."""
    torch.set_num_threads(1)
    ways = (UNWATCHED, WATCHED, DEVICE)
    caches = {how: Cache(version, core, how) for how in ways}
    times: dict[str, dict[str, list[float]]] = {name: {how: [] for how in ways} for name in OPERATIONS}
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for name, (operation, count) in OPERATIONS.items():
            for how in ways:
                times[name][how].append(operation(caches[how], count) / count)
    for cache in caches.values():
        assert cache.watcher is None or not (cache.watcher.faults or cache.watcher.off), cache.watcher.off
    return {name: {how: statistics.median(t) for how, t in found.items()} for name, found in times.items()}


def slices(version: str, components: list[str], nodes: int, budget: float) -> dict[str, Any]:
    """A full walk in slices: how many, how long the longest was, and the engine's own check on the same tree."""
    torch.set_num_threads(1)
    live, count = grown(version, components, nodes)
    watcher = watch_engine(live.cache, "log", version=version, budget=budget)
    gc.collect()
    gc.freeze()
    spent: list[float] = []
    while not watcher.walk.walks:
        start = time.perf_counter()
        watcher.idle()
        spent.append(time.perf_counter() - start)
    start = time.perf_counter()
    live.cache.sanity_check()
    own = time.perf_counter() - start
    assert not watcher.faults and not watcher.off
    return {
        "nodes": count, "slices": len(spent), "longest": max(spent), "median": statistics.median(spent),
        "walk": sum(spent), "engine": own, "checks": len(watcher.walk.checks), "given up": watcher.walk.given_up,
    }  # fmt: skip
