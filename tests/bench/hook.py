"""Runs inside an engine's process: what watching costs an operation, and how long a slice of the full walk takes."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from sanitree.checker.hook.incremental import Incremental
from sanitree.checker.hook.shadow import Clock
from sanitree.checker.hook.watcher import Watcher, watch_engine
from sanitree.models.engines import drive, serving
from sanitree.models.engines.build import EngineConfig, LiveEngine, build
from sanitree.models.engines.view import View
from tests.bench.live import grown

PAGE = 16
"""Tokens of what is allocated and inserted."""

UNWATCHED, SLOTS, RULES, DEVICE = "unwatched", "tier 1", "tiers 1 and 2", "tier 1, never read back"

DEPTH = 10
"""Calls above an operation: where a server allocates or evicts, its own stack is longer than what is recorded of it."""

clock = time.thread_time
"""Seconds that this thread computed: others use the machine too. Nothing here waits."""


class Cache:
    """One cache and the operations that are timed on it. Each does its work `count` times and returns seconds."""

    def __init__(self, version: str, core: str | None, how: str) -> None:
        config = EngineConfig(
            policy="write_through_selective", core=core, device_tokens=8192, host_ratio=1.5, layers=2, requests=64
        )  # type: ignore[arg-type]
        self.live: LiveEngine = build(version, config, mode="instant")
        self.watcher: Watcher | None = None
        if how != UNWATCHED:
            tier = 2 if how == RULES else 1
            never_read = how == DEVICE or None
            self.watcher = watch_engine(self.live.cache, "log", version=version, tier=tier, on_device=never_read)
        self._next = 0

    def _fill(self) -> None:
        """Prompts to be matched: evictions of other operations may have taken them."""
        for i in range(64):
            serving.insert(self.live, (i, *range(1000, 1000 + 3 * PAGE)))
        drive.drain(self.live)

    def match(self, count: int) -> float:
        self._fill()
        keys = [drive.key(self.live, (i % 64, *range(1000, 1000 + 3 * PAGE))) for i in range(count)]
        parameters = [self.live.names.MatchPrefixParams(key=k) for k in keys]
        call, start = self.live.cache.match_prefix, clock()
        for p in parameters:
            call(p)
        return clock() - start

    def lock_and_unlock(self, count: int) -> float:
        self._fill()
        node = drive.match(self.live, (1, *range(1000, 1000 + 3 * PAGE))).device_node
        cache, start = self.live.cache, clock()
        for _ in range(count):
            cache.dec_lock_ref(node, cache.inc_lock_ref(node).to_dec_params())
        return clock() - start

    def alloc_and_free(self, count: int) -> float:
        allocator, start = self.live.allocator, clock()
        for _ in range(count):
            allocator.free(allocator.alloc(PAGE))
        return clock() - start

    def alloc_and_insert(self, count: int) -> float:
        keys = []
        for _ in range(count):
            self._next += 1
            keys.append(drive.key(self.live, (10_000 + self._next, *range(2000, 2000 + PAGE - 1))))
        live, start = self.live, clock()
        for key in keys:
            live.cache.insert(live.names.InsertParams(key=key, value=live.allocator.alloc(PAGE)))
        return clock() - start

    def evict(self, count: int) -> float:
        """Of what `alloc_and_insert` left, a leaf a call."""
        parameters = self.live.names.EvictParams(num_tokens=PAGE)
        call, start = self.live.cache.evict, clock()
        for _ in range(count):
            call(parameters)
        return clock() - start

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
            start = clock()
            live.cache.load_back(found.best_node)
            live.cache.ready_to_load_host_cache()
            live.cache.check_hicache_events()
            spent += clock() - start
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
    ways = (UNWATCHED, SLOTS, *(() if core == "rust" else (RULES,)), DEVICE)
    caches = {how: Cache(version, core, how) for how in ways}
    times: dict[str, dict[str, list[float]]] = {name: {how: [] for how in ways} for name in OPERATIONS}
    gc.collect()
    gc.disable()
    _below(DEPTH, lambda: _rounds(caches, rounds, times))
    for cache in caches.values():
        w = cache.watcher
        assert w is None or not (w.faults or w.broken or w.off), (w.off, [str(x) for x in (*w.faults, *w.broken)])
    return {name: {how: statistics.median(t) for how, t in found.items()} for name, found in times.items()}


def _below(depth: int, work: Callable[[], None]) -> None:
    if depth:
        _below(depth - 1, work)
    else:
        work()


def _rounds(caches: dict[str, Cache], rounds: int, times: dict[str, dict[str, list[float]]]) -> None:
    for _ in range(rounds):
        for name, (operation, count) in OPERATIONS.items():
            for how, cache in caches.items():
                times[name][how].append(operation(cache, count) / count)


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


def touched(version: str, components: list[str], nodes: int, rounds: int) -> dict[str, Any]:
    """What is judged after one operation on a tree of this size, next to the engine's own check of all of it."""
    torch.set_num_threads(1)
    live, count = grown(version, components, nodes)
    spent: list[float] = []

    def timed(judge: Callable[..., Any]) -> Callable[..., Any]:
        def judged(*args: Any) -> Any:
            start = clock()
            result = judge(*args)
            spent.append(clock() - start)
            return result

        return judged

    told: list[Any] = []
    watcher = Incremental(View(live.cache, version), Clock(), told.extend, timed)
    cache, names = live.cache, live.names
    gc.collect()
    gc.freeze()
    found: dict[str, list[float]] = {}

    def did(name: str, operation: Callable[[], Any]) -> Any:
        spent.clear()
        result = operation()
        found.setdefault(name, []).append(sum(spent))
        return result

    own: list[float] = []
    for i in range(rounds):
        prompt = [5_000_000 + i, *range(7_000_000, 7_000_000 + PAGE - 1)]
        slots = drive.alloc(live, PAGE)
        assert slots is not None
        did("insert", lambda: cache.insert(names.InsertParams(key=drive.key(live, prompt), value=slots)))  # noqa: B023
        node = did("match", lambda: drive.match(live, prompt)).device_node  # noqa: B023
        receipt = did("lock", lambda: cache.inc_lock_ref(node))  # noqa: B023
        did("unlock", lambda: cache.dec_lock_ref(node, receipt.to_dec_params()))  # noqa: B023
        did("poll", lambda: drive.drain(live))
        did("evict", lambda: drive.evict(live, PAGE))
        if i % (rounds // 3 or 1) == 0:
            start = clock()
            cache.sanity_check()
            own.append(clock() - start)
    assert not told and watcher.ledger.sound
    return {
        "nodes": count, "engine": statistics.median(own), "checks": len(watcher.checks),
        "operations": {name: statistics.median(times) for name, times in found.items()},
    }  # fmt: skip
