"""Every fault of the page model is found in a model of two or three pages, by a rule of its family or a neighbour's.

Faults of the family of progress violate no rule about a state: what they make impossible is another question.
"""

from __future__ import annotations

import pytest

from sanitree.checker.explore import concrete
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import transitions
from sanitree.invariants.catalogue import BY_ID
from sanitree.invariants.rules import Family
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Policy
from sanitree.models.protocol.pages import FAULTS, Pages, pages

NEIGHBOURS = {
    # A copy in flight that is not locked is a lock that nobody takes, and the other way round.
    Family.TRANSFERS: {Family.TRANSFERS, Family.BACKUP, Family.LOCKS},
    Family.LOCKS: {Family.LOCKS, Family.TRANSFERS},
    # What is evicted although it is locked.
    Family.LEAF_SETS: {Family.LEAF_SETS, Family.BACKUP},
}
"""Families whose rules may be the first to be violated by a fault of one; else the family itself."""

FOUND = {
    "evict_does_not_wait": ("pending_write_keeps_its_source", 2),
    "eviction_ignores_locks": ("pending_load_has_both_copies", 3),
    "tombstone_keeps_its_slots": ("free_slot_is_not_in_the_tree[mamba, device]", 3),
    "removed_node_keeps_host_slots": ("no_slot_leaks[full, host]", 2),
    "duplicates_leak": ("no_slot_leaks[full, device]", 2),
    "duplicates_are_freed_twice": ("freed_once[full, device]", 2),
    "insert_frees_the_prefix": ("free_slot_is_not_in_the_tree[full, device]", 2),
    "insert_takes_the_wrong_slots": ("copy_holds_its_own_bytes[full, device]", 1),
    "split_forgets_the_pending_write": ("write_source_stays_with_its_node[full, device]", 3),
    "split_forgets_the_lock": ("path_lock_covers_children", 3),
    "split_forgets_the_host_lock": ("lock_is_not_negative[full, host]", 5),
    "split_moves_the_state": ("copy_holds_its_own_bytes[mamba, device]", 2),
    "backup_takes_no_lock": ("lock_has_its_holders", 2),
    "load_takes_no_lock": ("lock_has_its_holders", 2),
    "release_undoes_too_much": ("target_is_not_free[swa, device]", 6),
    "release_measures_anew": ("full_lock_covers_auxiliary[swa]", 4),
    "host_reclaims_the_source_of_a_load": ("pending_load_has_both_copies", 3),
    "child_is_backed_up_first": ("backup_is_prefix_closed", 3),
    "refill_under_a_parent_without_backup": ("backup_is_prefix_closed", 2),
    "copy_is_skipped": ("copies_agree[full]", 3),
    "ack_comes_too_early": ("copies_agree[full]", 3),
    "ack_forgets_the_marks": ("pending_load_has_its_transfer", 4),
    "check_demands_backed_up_parents": ("backup_is_prefix_closed", 3),
}
"""The rule that is violated first, and moves of the shortest trace."""


def smallest(fault: str) -> Pages:
    """A chain of pages with a fault: two, of three with a window; everything has room."""
    for components in ((FULL,), (FULL, MAMBA), (FULL, SWA)):
        parents = (0, 1, 2) if SWA in components else (0, 1)
        for policy in Policy:
            m = Pages(policy=policy, components=components, parents=parents, device=len(parents), host=len(parents))
            if FAULTS[fault].fits(m):
                return Pages(
                    policy=policy, components=components, parents=parents, device=m.device, host=m.host, fault=fault
                )
    raise AssertionError(fault)


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_found(fault: str) -> None:
    t = transitions(pages(smallest(fault)))
    found = search(t, device="torch").violation
    family = FAULTS[fault].family
    if family is Family.PROGRESS:
        assert found is None
        assert fault not in FOUND
        return
    assert found is not None
    moves = found.trace.moves
    assert (found.rule, len(moves)) == FOUND[fault]
    assert BY_ID[found.rule.split("[")[0]].family in NEIGHBOURS.get(family, {family})
    assert concrete.run(t, moves) == tuple(map(dict, found.trace.states))


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_the_fault(fault: str) -> None:
    """The same model without it is clean."""
    m = smallest(fault)
    found = search(transitions(pages(Pages(**{**vars(m), "fault": None}))), device="torch")
    assert found.complete
