"""Faults of inserts and matches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sanitree.invariants.rules import Family
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.faults.registry import (
    fault,
    swap,
    through,
)
from sanitree.models.reference.nodes import Node


@fault(Family.SLOTS)
def duplicates_are_freed_twice(cache: UnifiedRadixCache) -> None:
    """An insert over what is there frees the caller's duplicate slots twice."""
    free_duplicates = cache.free_duplicates

    def twice(i: int, slots: torch.Tensor) -> None:
        free_duplicates(i, slots)
        free_duplicates(i, slots)

    swap(cache, free_duplicates=twice)


@fault(Family.SLOTS)
def duplicates_leak(cache: UnifiedRadixCache) -> None:
    """An insert over what is there forgets to free the caller's duplicate slots."""
    swap(cache, free_duplicates=lambda i, slots: None)


@fault(Family.SLOTS)
def insert_frees_the_prefix(cache: UnifiedRadixCache) -> None:
    """An insert takes the slots of the caller's locked prefix, which are the tree's own, for duplicates."""
    overlap = cache.overlap
    swap(cache, overlap=lambda node, at, slots, prefix_len: overlap(node, at, slots, 0))


@fault(Family.CONTENT)
def insert_takes_the_wrong_slots(cache: UnifiedRadixCache) -> None:
    """A new leaf takes the caller's slots in the wrong order: each token has another's KV."""
    grow_leaf = cache.grow_leaf

    def reversed_slots(parent: Node, tokens: Any, at: int, slots: Mapping[str, torch.Tensor]) -> Node:
        turned = {
            name: torch.cat([s[:at], s[at:].flip(0)]) if s.numel() == len(tokens) else s for name, s in slots.items()
        }
        return grow_leaf(parent, tokens, at, turned)

    swap(cache, grow_leaf=reversed_slots)


@fault(Family.PURITY)
def query_counts_hits(cache: UnifiedRadixCache) -> None:
    """A match counts as a hit for the nodes that it finds, as an insert does."""
    match_prefix = cache.match_prefix

    def counted(tokens: Any) -> Any:
        found = match_prefix(tokens)
        for node in found.device_node.path():
            node.hits += 1
        return found

    swap(cache, match_prefix=counted)


@fault(Family.PROGRESS, through)
def backup_comes_a_hit_late(cache: UnifiedRadixCache) -> None:
    """The threshold of hits for a backup is compared with `>` instead of `>=`."""
    should_back_up = cache.should_back_up
    swap(cache, should_back_up=lambda node: node.hits > cache.config.backup_hits and should_back_up(node))
