"""Faults of backups, loads and their acknowledgements, and of the check."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

from sanitree.invariants.rules import Family
from sanitree.invariants.vocabulary import Policy
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


@fault(Family.LOCKS, through)
def backup_takes_no_lock(cache: UnifiedRadixCache) -> None:
    """A node that is being written can be evicted meanwhile."""
    lock_for = cache.lock_for
    swap(cache, lock_for=lambda kind, node: [] if kind == "write" else lock_for(kind, node))


@fault(Family.TRANSFERS, tiered)
def load_takes_no_lock(cache: UnifiedRadixCache) -> None:
    """A node that is being loaded can be evicted meanwhile, and its target slots handed out."""
    lock_for = cache.lock_for
    swap(cache, lock_for=lambda kind, node: [cache.lock_host(node)] if kind == "load" else lock_for(kind, node))


@fault(Family.TRANSFERS, tiered)
def host_reclaims_the_source_of_a_load(cache: UnifiedRadixCache) -> None:
    """When the host is short, it reclaims copies of nodes that are on the device too: those being loaded, for one."""
    evict_host = cache.evict_host

    def reclaim(count: int, component: str = "full") -> Any:
        i = cache.place(component)
        if i == FULL:
            for node in cache.subtree(cache.root)[:0:-1]:
                if node.load_ack is not None and node.data[i].host is not None:
                    cache.drop_host(node, i, [0] * len(cache.parts))
        return evict_host(count, component)

    swap(cache, evict_host=reclaim)


@fault(Family.BACKUP, through)
def child_is_backed_up_first(cache: UnifiedRadixCache) -> None:
    """A backup does not look whether the ancestors have one."""
    swap(cache, unbacked_ancestors=lambda node: [])


@fault(Family.BACKUP, through)
def refill_under_a_parent_without_backup(cache: UnifiedRadixCache) -> None:
    """A prefetch puts host copies below a node that has none."""
    swap(cache, can_extend_host=lambda node: True)


@fault(Family.CONTENT, tiered)
def copy_is_skipped(cache: UnifiedRadixCache) -> None:
    """A transfer is acknowledged although nothing was copied."""
    swap(cache.runner, submit=lambda transfer: setattr(transfer, "done", True))


@fault(Family.CONTENT, tiered)
def ack_comes_too_early(cache: UnifiedRadixCache) -> None:
    """A transfer is acknowledged before its bytes have arrived."""
    swap(cache.runner, is_done=lambda transfer: True, wait=lambda transfer: None)


@fault(Family.TRANSFERS, tiered)
def ack_forgets_the_marks(cache: UnifiedRadixCache) -> None:
    """An acknowledgement releases the lock, and leaves the nodes marked as pending."""

    def acknowledge(transfer: Any) -> None:
        for receipt in transfer.receipts:
            cache.dec_lock_ref(receipt)

    swap(cache, acknowledge=acknowledge)


@fault(Family.LRU, auxiliary)
def demoted_copy_is_in_no_list(cache: UnifiedRadixCache) -> None:
    """Auxiliary data that is left on the host alone does not enter the host's LRU list."""
    list_of = cache.list_of

    def device_only(node: Node, i: int) -> Any:
        return list_of(node, i) if node.data[i].device is not None else None

    swap(cache, list_of=device_only)


# The check itself.


@fault(Family.BACKUP, back)
def check_demands_backed_up_parents(cache: UnifiedRadixCache) -> None:
    """sanity_check() judges write_back by the rules of write_through: it complains of a legal tree."""

    def sanity_check() -> None:
        seen = importlib.import_module("sanitree.models.reference.observe").subject(cache)
        settings = replace(seen.settings, policy=Policy.WRITE_THROUGH)
        wrong = replace(seen, settings=settings, kind=(seen.kind, "judged as write_through"))
        wrong = replace(wrong, snapshot=lambda wanted: seen.snapshot(wanted).with_settings(settings))
        importlib.import_module("sanitree.checker.live").sanity_check(wrong)

    swap(cache, sanity_check=sanity_check)
