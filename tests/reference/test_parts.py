"""Parts: how far back a request reads may depend on where its prefix ends, and be nothing at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sanitree.invariants.vocabulary import FULL, SWA, Component, Policy
from sanitree.models.reference import PARTS, ByHand, Node, Part, UnifiedRadixCache, serving
from sanitree.models.reference.serving import Request
from tests.reference.judge import assert_idle, assert_sound
from tests.reference.workload import config

CHUNK = 4
CHUNKED = Component("chunked", backbone=False, per_token=True)


class ChunkedPart(Part):
    """Reads back to the last multiple of CHUNK."""

    def reach(self, length: int) -> int:
        return length % CHUNK


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[UnifiedRadixCache]:
    monkeypatch.setitem(PARTS, "chunked", ChunkedPart)
    cache = UnifiedRadixCache(config(Policy.WRITE_THROUGH_SELECTIVE, (FULL, CHUNKED)), ByHand())
    yield cache
    for request in list(cache.requests.values()):
        serving.release(cache, request)
    cache.drain()
    assert_idle(cache)


def put(cache: UnifiedRadixCache, *tokens: int) -> Node:
    request = serving.start(cache, tokens)
    assert isinstance(request, Request)
    serving.finish(cache, request)
    serving.release(cache, request)
    return cache.match_prefix(tokens).host_node


def tombstone(cache: UnifiedRadixCache, node: Node) -> None:
    """Takes a node's auxiliary copy off the device."""
    cache.lru[1].move_to_end(node, last=False)
    cache.evict({cache.parts[1].name: 1})
    assert node.data[1].device is None


def test_a_match_ends_where_nothing_is_missing_since_the_last_multiple(cache: UnifiedRadixCache) -> None:
    ends = ChunkedPart(CHUNKED, cache.config).validator()
    #                 3 gone        4          5 gone         6              8             9
    met = [ends(*x) for x in ((3, False), (1, True), (1, False), (1, True), (2, True), (1, True))]
    assert met == [False, True, False, False, True, True]


def test_at_a_multiple_nothing_is_locked_and_nothing_needed(cache: UnifiedRadixCache) -> None:
    put(cache, 1, 2, 3, 4)
    node = put(cache, 1, 2, 3, 4, 5, 6)
    cache.drain()
    receipt = cache.inc_lock_ref(node)
    assert node.parent is not None and receipt.extents == (6, 2)
    assert [n.data[1].lock for n in (node, node.parent)] == [1, 0]
    cache.dec_lock_ref(receipt)
    above = cache.inc_lock_ref(node.parent)
    assert above.extents == (4, 0) and node.parent.data[1].lock == 0
    tombstone(cache, node.parent)
    assert cache.match_prefix((1, 2, 3, 4)).device_tokens == 4
    assert cache.match_prefix((1, 2, 3, 4, 5, 6)).device_tokens == 6
    assert cache.path_slots(node.parent, "chunked").numel() == 0
    cache.dec_lock_ref(above)


def test_a_lock_covers_the_same_tokens_after_a_split(cache: UnifiedRadixCache) -> None:
    node = put(cache, 1, 2, 3, 4, 5, 6)
    receipt = cache.inc_lock_ref(node)
    found = cache.match_prefix((1, 2, 3, 4, 5, 7))
    assert found.device_tokens == 5 and found.device_node.end == 5 and node.end == 6
    assert [n.data[1].lock for n in node.path()] == [1, 1]
    cache.dec_lock_ref(receipt)
    assert_idle(cache)


def test_a_write_keeps_what_it_reads_where_a_request_would_read_nothing(cache: UnifiedRadixCache) -> None:
    """The lock of a backup covers the node itself: its copy of whole chunks was once freed under the write."""
    node = put(cache, 1, 2, 3, 4)
    (ack,) = cache.write_backup(node).acks
    assert node.write_ack == ack and node.data[1].lock == 1
    assert cache.evict({"chunked": 4}).evicted["chunked"] == 0
    assert_sound(cache)
    cache.drain()
    assert node.data[1].lock == 0 and cache.evict({"chunked": 4}).evicted["chunked"] == 4


def test_a_lock_on_the_device_keeps_nothing_on_the_host() -> None:
    """A host copy alone, under the lock of a write further down, makes room when it is asked for."""
    cache = UnifiedRadixCache(config(Policy.WRITE_THROUGH_SELECTIVE, (FULL, SWA)), ByHand())
    put(cache, 1, 2)
    above = put(cache, 1, 2)
    cache.drain()
    node = put(cache, 1, 2, 3)
    tombstone(cache, above)
    cache.write_backup(node)
    assert above.data[1].lock == 1 and above.data[1].device is None
    assert cache.evict_host(1, "swa").evicted["swa"] == 1
    assert_sound(cache)
