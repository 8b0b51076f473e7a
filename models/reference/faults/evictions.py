"""Faults of evictions, on either tier."""

from __future__ import annotations

from typing import Any

from sanitree.invariants.rules import Family
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.faults.registry import (
    auxiliary,
    back,
    fault,
    swap,
    through,
    tiered,
)
from sanitree.models.reference.nodes import Node
from sanitree.models.reference.tree import FULL


@fault(Family.TRANSFERS, back)
def evict_does_not_wait(cache: UnifiedRadixCache) -> None:
    """evict() returns, and frees device slots, while its write-back is still reading them."""
    swap(cache, finish_save=lambda: None)


@fault(Family.PROGRESS)
def eviction_stops_at_the_leaves(cache: UnifiedRadixCache) -> None:
    """An eviction takes the leaves that there are when it begins, and not the parents that become leaves."""

    def evict_leaves(count: int, tally: Any) -> None:
        for *_, node in sorted(cache.by_age(cache.device_leaves)):
            if tally.evicted[FULL] < count:
                cache.evict_leaf(node, tally)

    swap(cache, _evict_leaves=evict_leaves)


@fault(Family.PROGRESS)
def eviction_says_too_much(cache: UnifiedRadixCache) -> None:
    """An eviction counts a copy that it frees twice."""
    free_device = cache.free_device

    def counted_twice(node: Node, i: int, tally: Any) -> None:
        before = tally.evicted[i]
        free_device(node, i, tally)
        tally.evicted[i] += tally.evicted[i] - before

    swap(cache, free_device=counted_twice)


@fault(Family.PROGRESS, back)
def loss_is_not_reported(cache: UnifiedRadixCache) -> None:
    """Under write_back, what the host has no room for is dropped without a word."""
    swap(cache, dropped=lambda tally: [0] * len(cache.parts))


@fault(Family.PROGRESS, through)
def eviction_throws_backups_away(cache: UnifiedRadixCache) -> None:
    """Under write_through, a backed-up leaf is taken out of the tree instead of staying on the host."""
    demote = cache.demote

    def throw_away(node: Node, tally: Any) -> None:
        demote(node, tally)
        if not node.children:
            cache.remove(node, [0] * len(cache.parts))

    swap(cache, demote=throw_away)


@fault(Family.SLOTS, auxiliary)
def tombstone_keeps_its_slots(cache: UnifiedRadixCache) -> None:
    """Auxiliary data of an inner node is evicted: the slots are free, and the node still names them."""

    def evict_copy(node: Node, i: int, tally: Any) -> None:
        slots = node.data[i].device
        assert slots is not None
        cache.device_pools[i].free(slots)
        cache.lru[i].move_to_end(node)
        tally.evicted[i] += slots.numel()

    swap(cache, evict_copy=evict_copy)


@fault(Family.LEAF_SETS)
def eviction_ignores_locks(cache: UnifiedRadixCache) -> None:
    """A node on the device without children there counts as evictable, locked or not."""

    def is_device_leaf(node: Node) -> bool:
        if node.parent is None or node.data[FULL].device is None:
            return False
        return all(child.data[FULL].device is None for child in node.children.values())

    swap(cache, is_device_leaf=is_device_leaf)


@fault(Family.LEAF_SETS)
def parent_is_not_refreshed(cache: UnifiedRadixCache) -> None:
    """When a leaf leaves the tree, its parent does not become a leaf."""

    def detach(node: Node) -> None:
        assert node.parent is not None
        del node.parent.children[cache.edge(node.key)]
        cache.device_leaves.discard(node)
        cache.host_leaves.discard(node)

    swap(cache, detach=detach)


@fault(Family.SLOTS, tiered)
def removed_node_keeps_host_slots(cache: UnifiedRadixCache) -> None:
    """A node leaves the host tier, and its host slots are never given back."""

    def drop_host(node: Node, i: int, freed: list[int]) -> None:
        freed[i] += cache.take_host(node, i).numel()

    swap(cache, drop_host=drop_host)
