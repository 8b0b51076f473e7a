"""The pair of bugs that this project started from, on the reference cache and on a real engine alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sanitree.checker.live import InvariantViolated, LiveChecker
from sanitree.checker.watch import Watch
from sanitree.invariants.vocabulary import Policy
from sanitree.models.engines.process import run_in_engine
from sanitree.models.reference import ByHand, UnifiedRadixCache, serving
from sanitree.models.reference.observe import subject
from sanitree.models.snapshot import Key
from tests.live.scenes import BASE, LEAF
from tests.reference.workload import config

ROOT = Path(__file__).resolve().parents[2]
FIXED = "0.5.13.post1"
LEGAL = {"evicted": 2, "device": [True, False], "host": [False, True], "in flight": 0, "violated": [], "complaints": []}


def on_reference() -> dict[str, object]:
    cache = UnifiedRadixCache(config(Policy.WRITE_BACK), ByHand())
    watch = Watch(cache)
    for tokens in (BASE, LEAF):
        request = serving.start(cache, [*tokens])
        assert isinstance(request, serving.Request)
        serving.finish(cache, request)
        serving.release(cache, request)
    lock = cache.inc_lock_ref(cache.match_prefix(BASE).device_node)
    evicted = cache.evict({"full": 2}).evicted["full"]
    watch.settle()
    cache.sanity_check()
    report = LiveChecker().report(subject(cache))
    s = report.snapshot
    cache.dec_lock_ref(lock)
    watch.end()
    device, host = (s.nodes.columns[Key("present", "full", t)].values.tolist() for t in ("device", "host"))
    assert s.transfers is not None
    return {
        "evicted": evicted, "device": device[1:], "host": host[1:], "in flight": len(s.transfers),
        "violated": sorted({v.rule.id for v in report.violations}), "complaints": [],
    }  # fmt: skip


def in_engine(scene: str) -> Any:
    return run_in_engine(FIXED, f"tests.live.scenes:{scene}", {"version": FIXED}, search=[ROOT])


def test_an_evicted_leaf_is_backed_up_and_its_parent_is_not() -> None:
    assert on_reference() == LEGAL


@pytest.mark.engine
def test_and_so_in_the_engine() -> None:
    assert in_engine("leaf_is_evicted") == LEGAL


def test_under_write_through_a_backup_needs_its_parents() -> None:
    cache = UnifiedRadixCache(config(Policy.WRITE_THROUGH))
    for tokens in (BASE, LEAF):
        request = serving.start(cache, [*tokens])
        assert isinstance(request, serving.Request)
        serving.finish(cache, request)
        serving.release(cache, request)
    cache.drain()
    cache.sanity_check()
    parent = cache.match_prefix(BASE).device_node
    cache.host_pools[0].free(cache.take_host(parent, 0))
    with pytest.raises(InvariantViolated, match="backup_is_prefix_closed"):
        cache.sanity_check()


@pytest.mark.engine
def test_and_so_in_the_engine_too() -> None:
    assert "backup_is_prefix_closed" in in_engine("parent_loses_its_backup")
