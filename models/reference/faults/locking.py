"""Faults of locks, and of what a split does to locks and copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sanitree.invariants.rules import Family
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.faults.registry import (
    fault,
    state,
    swap,
    through,
    tiered,
    window,
)
from sanitree.models.reference.nodes import Copies, Node
from sanitree.models.reference.parts import EVERYTHING
from sanitree.models.reference.tree import FULL


@fault(Family.TRANSFERS, through)
def split_forgets_the_pending_write(cache: UnifiedRadixCache) -> None:
    """The upper part of a node that is being written is not marked, and not published by the acknowledgement."""

    def split_marks(suffix: Node, prefix: Node) -> None:
        prefix.load_ack = suffix.load_ack
        if suffix.load_ack is not None:
            cache.loads.flying[suffix.load_ack].nodes.append(prefix)

    swap(cache, split_marks=split_marks)


def _after_split(cache: UnifiedRadixCache, i: int, change: Callable[[Copies, Copies], None]) -> None:
    split = cache.parts[i].split

    def changed(suffix: Copies, prefix: Copies, at: int) -> None:
        split(suffix, prefix, at)
        change(suffix, prefix)

    swap(cache.parts[i], split=changed)


@fault(Family.LOCKS)
def split_forgets_the_lock(cache: UnifiedRadixCache) -> None:
    """The upper part of a locked node is not locked."""
    _after_split(cache, FULL, lambda suffix, prefix: setattr(prefix, "lock", 0))


@fault(Family.LOCKS, tiered)
def split_forgets_the_host_lock(cache: UnifiedRadixCache) -> None:
    """The upper part of a node that is locked on the host is not locked there."""
    _after_split(cache, FULL, lambda suffix, prefix: setattr(prefix, "host_lock", 0))


@fault(Family.CONTENT, state)
def split_moves_the_state(cache: UnifiedRadixCache) -> None:
    """Recurrent state, which belongs to the end of a run, goes to the upper part of a split node."""

    def move(suffix: Copies, prefix: Copies) -> None:
        prefix.device, suffix.device = suffix.device, None
        prefix.host, suffix.host = suffix.host, None

    for i in cache.per_node:
        _after_split(cache, i, move)
        relist, place = cache.relist, i

        def both(node: Node, i: int, relist: Any = relist, place: int = place) -> None:
            relist(node, i)
            if i == place:
                for child in node.children.values():
                    relist(child, i)

        swap(cache, relist=both)


# Locks.


@fault(Family.LOCKS, window)
def release_undoes_too_much(cache: UnifiedRadixCache) -> None:
    """A release unlocks the window of the whole path instead of the part that was locked."""
    dec_lock_ref = cache.dec_lock_ref

    def release(receipt: Any) -> None:
        wide = tuple(EVERYTHING if cache.parts[i].per_token else e for i, e in enumerate(receipt.extents))
        cache.receipts[receipt.number] = wider = replace(receipt, extents=wide)
        dec_lock_ref(wider)

    swap(cache, dec_lock_ref=release)


@fault(Family.LOCKS, window)
def release_measures_anew(cache: UnifiedRadixCache) -> None:
    """A release unlocks as far as a lock would reach now: after a split that is less than it reached then."""
    dec_lock_ref = cache.dec_lock_ref

    def release(receipt: Any) -> None:
        now = tuple(part.extent(receipt.node) for part in cache.parts)
        cache.receipts[receipt.number] = shorter = replace(receipt, extents=now)
        dec_lock_ref(shorter)

    swap(cache, dec_lock_ref=release)


@fault(Family.SIZES)
def sizes_ignore_locks(cache: UnifiedRadixCache) -> None:
    """A lock does not move its tokens from the evictable to the protected size."""
    shift = cache.shift_device_lock

    def shifted(node: Node, i: int, by: int) -> None:
        sizes = cache.evictable[i], cache.protected[i]
        shift(node, i, by)
        cache.evictable[i], cache.protected[i] = sizes

    swap(cache, shift_device_lock=shifted)
