"""The reference cache: every rule and every byte after every operation, and the corners."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.reference import (
    PARTS,
    ByHand,
    CacheConfig,
    CacheError,
    Event,
    Part,
    Refused,
    UnifiedRadixCache,
    Worker,
    content,
    serving,
)
from sanitree.models.reference.serving import Request
from tests.reference.judge import assert_idle, assert_sound, judge
from tests.reference.workload import COMPONENTS, RUNNERS, Workload, config

WRITE_BACK = Policy.WRITE_BACK
CELLS = list(itertools.product(Policy, COMPONENTS, (1, 4)))
CASES = [(*cell, list(RUNNERS)[k % len(RUNNERS)]) for k, cell in enumerate(CELLS)]


def drive(cache: UnifiedRadixCache, seed: int, steps: int) -> None:
    """Judges after every operation, and when all is over."""
    work = Workload(cache, seed)
    told: list[str] = []
    for step in work.steps(steps):
        told.append(step)
        wrong = judge(cache).wrong
        assert not wrong, "\n".join([*told[-5:], *wrong])
    work.quiesce()
    assert_idle(cache)


def name(case: Any) -> str:
    return "+".join(c.name for c in case) if isinstance(case, tuple) else getattr(case, "value", str(case))


@pytest.mark.parametrize(("policy", "components", "page", "runner"), CASES, ids=name)
def test_work_is_sound(policy: Policy, components: tuple[Component, ...], page: int, runner: str) -> None:
    running = RUNNERS[runner]()
    drive(UnifiedRadixCache(config(policy, components, page), running), seed=len(components) + page, steps=16)
    if isinstance(running, Worker):
        running.close()


@pytest.mark.slow
@pytest.mark.parametrize("room", ["plenty", "tight host", "no host"])
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(("policy", "components", "page"), CELLS, ids=name)
def test_long_work_is_sound(
    policy: Policy, components: tuple[Component, ...], page: int, runner: str, room: str
) -> None:
    running = RUNNERS[runner]()
    drive(UnifiedRadixCache(config(policy, components, page, room), running), seed=17, steps=100)
    if isinstance(running, Worker):
        running.close()


@pytest.mark.parametrize("room", ["tight host", "no host"])
@pytest.mark.parametrize("policy", Policy, ids=name)
def test_work_without_room_is_sound(policy: Policy, room: str) -> None:
    drive(UnifiedRadixCache(config(policy, COMPONENTS[3], 1, room), ByHand()), seed=5, steps=30)


def test_every_rule_that_applies_is_checked() -> None:
    """But the one about prev pointers, which its lists do not have."""
    cache = UnifiedRadixCache(config(components=COMPONENTS[3]), ByHand())
    checked: set[str] = set()
    work = Workload(cache, 3)
    for _ in work.steps(30):
        checked |= judge(cache).checked
    work.quiesce()
    assert judge(cache).unchecked == {"lru_links_agree"}
    assert {"write_publishes_its_nodes", "prefix_stays_in_the_tree", "pending_load_has_both_copies"} <= checked


# Small caches by hand.


def small(
    device: int = 8, host: int | None = 8, *, page: int = 1, components: tuple[Component, ...] = (FULL,), **more: Any
) -> UnifiedRadixCache:
    runner = more.pop("runner", None)
    slots = {c.name: device for c in components}
    below = None if host is None else {c.name: host for c in components}
    return UnifiedRadixCache(
        CacheConfig(device_slots=slots, host_slots=below, components=components, page_size=page, **more), runner
    )


def hold(cache: UnifiedRadixCache, *tokens: int) -> Request:
    """A finished request that holds its path."""
    request = serving.start(cache, tokens)
    assert isinstance(request, Request), request
    serving.finish(cache, request)
    return request


def put(cache: UnifiedRadixCache, *tokens: int) -> Any:
    """Inserts a prompt, and returns the node that it ends in."""
    request = hold(cache, *tokens)
    node = request.node
    serving.release(cache, request)
    return node


def test_evicted_leaf_is_backed_up_and_its_locked_parent_is_not() -> None:
    """Under write_back only the evicted leaf is written, and nothing is in flight when evict returns."""
    cache = small(policy=WRITE_BACK, runner=ByHand())
    base = put(cache, 1, 2)
    leaf = put(cache, 1, 2, 500, 501)
    holder = serving.start(cache, (1, 2, 9))
    assert isinstance(holder, Request) and holder.node is base and leaf.parent is base
    assert_sound(cache)
    done = cache.evict({"full": 2})
    assert done.evicted == {"full": 2} and done.backed_up == 1 and done.dropped == {"full": 0}
    assert leaf.data[0].device is None and leaf.data[0].host is not None
    assert base.data[0].device is not None and base.data[0].host is None
    assert not cache.writes.flying
    assert_sound(cache)
    serving.release(cache, holder)
    assert_idle(cache)


@pytest.mark.parametrize("policy", Policy, ids=name)
def test_pools_of_one_page(policy: Policy) -> None:
    cache = small(4, 4, page=4, components=(FULL, SWA), policy=policy)
    first = put(cache, 1, 2, 3, 4)
    assert isinstance(serving.start(cache, range(8)), Refused)
    assert_sound(cache)
    cache.drain()
    second = put(cache, 5, 6, 7, 8)
    assert second.data[0].device is not None and first.data[0].device is None
    assert_sound(cache)
    cache.drain()
    assert_idle(cache)


def test_nothing_to_evict() -> None:
    cache = small(components=(FULL, SWA, MAMBA))
    assert set(cache.evict({"full": 5, "swa": 5, "mamba": 5}).evicted.values()) == {0}
    for component in ("full", "swa", "mamba"):
        assert set(cache.evict_host(5, component).evicted.values()) == {0}
    assert_idle(cache)


@pytest.mark.parametrize("policy", Policy, ids=name)
def test_more_than_everything_is_evicted(policy: Policy) -> None:
    cache = small(components=(FULL, SWA), policy=policy)
    put(cache, 1, 2, 3)
    put(cache, 1, 2, 4)
    cache.drain()
    assert cache.evict({"full": 100}).evicted == {"full": 4, "swa": 4}
    assert cache.device_pools[0].available == 8
    assert_idle(cache)
    cache.evict_host(100)
    assert not cache.root.children
    assert_idle(cache)


def test_locked_cache_refuses() -> None:
    cache = small(4, components=(FULL, SWA), policy=WRITE_BACK)
    request = hold(cache, 1, 2, 3, 4)
    assert cache.alloc("full", 1) is None
    refused = serving.start(cache, (1, 2, 3, 4, 5))
    assert isinstance(refused, Refused) and refused.component == "full" and refused.wanted == 1
    assert set(cache.evict({"full": 9, "swa": 9}).evicted.values()) == {0}
    again = cache.insert(request.tokens, {"full": request.prefix, "swa": request.prefix}, 4)
    assert again.known == 4 and again.node is request.node
    assert_sound(cache)
    serving.release(cache, request)
    assert cache.alloc("full", 1) is not None


@pytest.mark.parametrize("policy", [Policy.WRITE_THROUGH, WRITE_BACK], ids=name)
def test_host_smaller_than_a_node(policy: Policy) -> None:
    cache = small(8, 2, policy=policy)
    request = serving.start(cache, (1, 2, 3))
    assert isinstance(request, Request)
    inserted = serving.finish(cache, request)
    assert inserted.backups_refused == (policy is Policy.WRITE_THROUGH)
    serving.release(cache, request)
    assert_idle(cache)
    done = cache.evict({"full": 1})
    assert done.evicted == {"full": 3} and done.backed_up == 0
    assert done.dropped == {"full": 3}
    assert not cache.root.children
    assert_idle(cache)


def test_leaf_above_what_is_locked_on_the_host_stays() -> None:
    cache = small(8, 2, policy=WRITE_BACK)
    put(cache, 1, 2)
    below = put(cache, 1, 2, 3, 4)
    cache.evict({"full": 1})
    lock = cache.lock_host(below)
    done = cache.evict({"full": 1})
    assert done.evicted == {"full": 0} and below.parent in cache.device_leaves
    assert_sound(cache)
    cache.dec_lock_ref(lock)
    assert cache.evict({"full": 1}).backed_up == 1
    assert not below.parent.children
    assert_idle(cache)


def test_refused_load_back_leaves_nothing_behind() -> None:
    cache = small(4, 8, components=(FULL, SWA), window=2, policy=WRITE_BACK)
    node = put(cache, 1, 2, 3)
    cache.evict({"full": 3})
    request = hold(cache, 7, 8)
    done = cache.load_back(node)
    assert done.refused is not None and done.refused.wanted == 3 and not done.loaded
    assert_sound(cache)
    serving.release(cache, request)
    assert cache.load_back(node).loaded == {"full": 3, "swa": 3}
    assert_sound(cache)
    cache.drain()
    assert cache.load_back(node).loaded == {}
    assert_idle(cache)


def test_state_alone_is_loaded_back() -> None:
    cache = small(components=(FULL, MAMBA), policy=WRITE_BACK)
    put(cache, 1, 2)
    put(cache, 1, 2, 3)
    cache.evict({"full": 9})
    put(cache, 1, 2, 3, 4)
    cache.drain()
    node = cache.match_prefix((1, 2)).host_node
    found = cache.match_prefix((1, 2))
    assert (found.device_tokens, found.host_tokens) == (0, 2)
    assert cache.load_back(node).loaded == {"mamba": 1}
    assert cache.match_prefix((1, 2)).device_tokens == 2
    assert_sound(cache)


def test_prompts_shorter_than_a_page() -> None:
    cache = small(8, page=4, components=(FULL, MAMBA), policy=WRITE_BACK)
    assert cache.match_prefix((1, 2, 3)).device_node is cache.root
    request = hold(cache, 1, 2, 3)
    assert request.node is cache.root and request.own["full"].numel() == 4
    assert_sound(cache)
    serving.release(cache, request)
    assert not cache.root.children
    tail = hold(cache, 1, 2, 3, 4, 5)
    assert tail.prefix.numel() == 4 and tail.own["full"].numel() == 4
    assert_sound(cache)
    serving.release(cache, tail)
    assert_idle(cache)


def test_reset_waits_for_what_is_in_flight() -> None:
    cache = small(components=(FULL, SWA), runner=ByHand())
    node = put(cache, 1, 2, 3)
    cache.drain()
    cache.evict({"full": 3})
    cache.load_back(node)
    put(cache, 4, 5)
    assert cache.writes.flying and cache.loads.flying
    assert_sound(cache)
    cache.reset()
    assert not cache.root.children
    for pool in (*cache.device_pools, *cache.host_pools):
        assert pool.available == pool.capacity
    assert_idle(cache)


def test_reset_of_a_cache_in_use_is_a_mistake() -> None:
    cache = small()
    request = hold(cache, 1, 2)
    with pytest.raises(CacheError, match="1 requests are running"):
        cache.reset()
    serving.release(cache, request)
    cache.drain()
    lock = cache.inc_lock_ref(cache.match_prefix((1, 2)).device_node)
    with pytest.raises(CacheError, match="1 locks are held"):
        cache.reset()
    cache.dec_lock_ref(lock)
    cache.reset()


def test_without_a_host_tier() -> None:
    cache = small(8, None)
    node = put(cache, 1, 2)
    with pytest.raises(CacheError, match="host tier"):
        cache.write_backup(node)
    with pytest.raises(CacheError, match="host tier"):
        cache.insert_host((1, 2), {"full": torch.arange(2)})
    with pytest.raises(CacheError, match="host tier"):
        serving.start_prefetch(cache, (1, 2))
    assert cache.load_back(node).loaded == {}
    assert cache.evict_host(3).evicted == {"full": 0}
    assert cache.evict({"full": 1}).evicted == {"full": 2} and not cache.root.children
    assert_idle(cache)


# What operations promise.


def test_prefetch_stops_at_what_the_host_lacks() -> None:
    for policy in (Policy.WRITE_THROUGH_SELECTIVE, WRITE_BACK):
        cache = small(policy=policy)
        node = put(cache, 1, 2)
        fetched = serving.start_prefetch(cache, (1, 2, 3, 4))
        assert isinstance(fetched, Request)
        assert_sound(cache)
        done = serving.finish_prefetch(cache, fetched)
        assert done.stopped and done.node is cache.root and not node.children
        assert_idle(cache)


def test_prefetch_is_found_and_loaded() -> None:
    cache = small(components=(FULL, SWA, MAMBA), runner=ByHand())
    fetched = serving.start_prefetch(cache, (1, 2, 3))
    assert isinstance(fetched, Request)
    done = serving.finish_prefetch(cache, fetched)
    assert done.inserted == 3 and not done.stopped
    request = serving.start(cache, (1, 2, 3, 4))
    assert isinstance(request, Request) and request.loaded == 3
    assert_sound(cache)
    serving.finish(cache, request)
    serving.release(cache, request)
    cache.drain()
    assert_idle(cache)


def test_backups_begin_with_the_ancestors() -> None:
    cache = small(policy=Policy.WRITE_THROUGH_SELECTIVE, hits_to_back_up=9, runner=ByHand())
    heard: list[object] = []
    cache.log = heard.append
    top, leaf = put(cache, 1), put(cache, 1, 2)
    done = cache.write_backup(leaf)
    assert [cache.writes.flying[ack].node for ack in done.acks] == [top, leaf]
    assert_sound(cache)
    cache.runner.wait(cache.writes.flying[done.acks[1]])
    assert cache.writing_check() == 0, "acknowledgements come in the order of submission"
    assert cache.writing_check(wait=True) == 2
    events = [e for e in heard if isinstance(e, Event)]
    assert [(e.what, e.ack) for e in events] == [(w, a) for w in ("submitted", "acked") for a in done.acks]
    assert_idle(cache)


def test_receipts_survive_splits_and_are_used_once() -> None:
    cache = small(16, components=(FULL, SWA, MAMBA), window=3, policy=WRITE_BACK)
    node = put(cache, 1, 2, 3, 4, 5, 6)
    request = serving.start(cache, (1, 2, 3, 4, 5, 6, 7))
    assert isinstance(request, Request) and request.node is node
    for cut in (4, 2, 5):
        cache.match_prefix(range(1, cut + 1))
        assert_sound(cache)
    lock = request.receipt
    serving.release(cache, request)
    assert_idle(cache)
    with pytest.raises(CacheError, match="released once"):
        cache.dec_lock_ref(lock)


MISTAKES: Mapping[str, Callable[[UnifiedRadixCache], object]] = {
    "give 2": lambda cache: cache.insert((1, 2), {"full": torch.arange(1)}),
    "the first 0 tokens alone": lambda cache: cache.insert((1, 2), {"full": torch.arange(2)}, 1),
    "no component 'swa'": lambda cache: cache.evict({"swa": 1}),
    "has no tokens": lambda cache: cache.write_backup(cache.root),
    "is not running": lambda cache: serving.release(
        cache, Request(0, (1,), cache.inc_lock_ref(cache.root), torch.arange(0), {})
    ),
    "nothing to insert": lambda cache: serving.finish(cache, hold(cache, 1, 2)),
    "a request has tokens": lambda cache: serving.start(cache, ()),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_told(message: str) -> None:
    with pytest.raises(CacheError, match=message):
        MISTAKES[message](small())


def test_configurations_that_cannot_be_meant() -> None:
    good = config(components=(FULL, SWA), page=4)
    odd = Component("odd", backbone=False, per_token=True)
    for change, message in (
        ({"components": (SWA, FULL)}, "backbone, first"),
        ({"components": ()}, "backbone, first"),
        ({"page_size": 0}, "page_size is 0"),
        ({"device_slots": {"full": 8}}, "must name the components"),
        ({"device_slots": {"full": 8, "swa": 6}}, "whole pages of 4"),
        ({"device_slots": {"full": 0, "swa": 4}}, "whole pages of 4"),
    ):
        with pytest.raises(CacheError, match=message):
            replace(good, **change)
    slots = {"full": 4, "odd": 4}
    with pytest.raises(CacheError, match="'odd' has no part"):
        UnifiedRadixCache(CacheConfig(components=(FULL, odd), device_slots=slots))


def test_a_component_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subclass of Part, entered in PARTS, is all that it takes."""

    class Sparse(Part):
        """Reads the last 6 tokens."""

        def reach(self, length: int) -> int:
            return 6

    sparse = Component("sparse", backbone=False, per_token=True)
    deep = Component("deep", backbone=False, per_token=True)
    mark = Component("mark", backbone=False, per_token=False)
    for own, part in ((sparse, Sparse), (deep, Part), (mark, Part)):
        monkeypatch.setitem(PARTS, own.name, part)
    components = (FULL, mark, sparse, deep)
    slots = {"full": 40, "mark": 12, "sparse": 36, "deep": 40}
    below = {"full": 40, "mark": 8, "sparse": 24, "deep": 40}
    for policy in (Policy.WRITE_THROUGH, WRITE_BACK):
        cache = UnifiedRadixCache(
            CacheConfig(policy=policy, components=components, device_slots=slots, host_slots=below), ByHand()
        )
        drive(cache, seed=11, steps=30)


def test_worker_tells_of_its_failure() -> None:
    worker = Worker()
    cache = small(runner=worker)
    node = put(cache, 1, 2)
    cache.drain()
    cache.evict({"full": 2})
    cache.host_pools[0].buffer = torch.empty(0)
    assert cache.load_back(node).ack is not None
    with pytest.raises(CacheError, match="a copy failed"):
        cache.loading_check(wait=True)
    with pytest.raises(CacheError, match="a copy failed"):
        cache.loading_check()
    worker.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    for policy in Policy:
        worker = Worker("cuda")
        drive(UnifiedRadixCache(replace(config(policy, COMPONENTS[3], 4), device="cuda"), worker), seed=3, steps=60)
        worker.close()


def test_what_was_freed_twice_is_free_twice() -> None:
    cache = small(4)
    slots = cache.alloc("full", 2)
    assert slots is not None
    for _ in range(2):
        cache.free("full", slots)
    cache.free("full", slots)
    assert cache.device_pools[0].available == 8
    assert any("freed_once" in wrong for wrong in judge(cache).wrong)


def test_sanity_check_is_silent_or_tells_what_is_wrong() -> None:
    cache = small()
    put(cache, 1, 2)
    cache.sanity_check()
    cache.evictable[0] += 1
    with pytest.raises(AssertionError, match="evictable_size_is_exact"):
        cache.sanity_check()


def test_wrong_bytes_are_found() -> None:
    cache = small(components=(FULL, MAMBA))
    request = hold(cache, 1, 2, 3)
    cache.drain()
    assert not content.wrong_bytes(cache)
    cache.device_pools[0].buffer[1, request.prefix[1], 0] += 1
    cache.host_pools[1].buffer[0] += 1
    found = {(w.component, w.what) for w in content.wrong_bytes(cache)}
    assert found == {("full", "device"), ("full", "request"), ("mamba", "host")}


def test_what_made_room_for_another_is_dropped() -> None:
    """Under write_back, what one eviction has backed up may leave the host again for what it backs up next."""
    cache = small(8, 2, policy=WRITE_BACK)
    put(cache, 1, 2)
    last = put(cache, 3, 4)
    done = cache.evict({"full": 4})
    assert done.evicted == {"full": 4} and done.backed_up == 2 and done.dropped == {"full": 2}
    assert last.data[0].host is not None and len(cache.root.children) == 1
    assert_idle(cache)
