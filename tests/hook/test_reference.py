"""The plain call on the reference cache: every rule at every call."""

from __future__ import annotations

import pytest

from sanitree.checker.hook.reference import ReferenceWatcher
from sanitree.checker.hook.watcher import watch
from sanitree.checker.live import InvariantViolated
from sanitree.invariants.vocabulary import FULL, Policy
from sanitree.models.reference import ByHand, CacheConfig, UnifiedRadixCache, serving
from sanitree.models.reference.faults import inject

CONFIG = CacheConfig(
    policy=Policy.WRITE_BACK, components=(FULL,), page_size=1, device_slots={"full": 8}, host_slots={"full": 16}
)


def work(cache: UnifiedRadixCache) -> None:
    for prompt in ([1, 2], [1, 2, 500, 501]):
        request = serving.start(cache, prompt)
        serving.finish(cache, request)
        serving.release(cache, request)
    cache.evict({"full": 2})


def test_what_is_wrong_is_told_and_the_cache_works_on() -> None:
    cache = UnifiedRadixCache(CONFIG, ByHand())
    inject(cache, "evict_does_not_wait")
    watcher = watch(cache, "log")
    assert isinstance(watcher, ReferenceWatcher)
    work(cache)
    watcher.stop()
    assert {"source_is_not_free"} <= {v.rule.id for f in watcher.found for v in f.report.violations}


def test_or_raised() -> None:
    cache = UnifiedRadixCache(CONFIG, ByHand())
    inject(cache, "evict_does_not_wait")
    watcher = watch(cache, "raise")
    work(cache)
    with pytest.raises(InvariantViolated, match="source_is_not_free"):
        watcher.check()


def test_a_mode_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="shout"):
        watch(UnifiedRadixCache(CONFIG, ByHand()), "shout")
