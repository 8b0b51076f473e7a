"""The explorer does what the model says, read word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import transitions
from sanitree.invariants.catalogue import BY_ID
from sanitree.invariants.vocabulary import Policy
from sanitree.models.protocol import heap
from tests.explore.interpreter import explored

pytest.importorskip("numba", reason="the explorer is the extra [explore]")

BOTH = (Policy.WRITE_THROUGH, Policy.WRITE_BACK)


@pytest.mark.parametrize("policy", BOTH)
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_states_and_transitions(policy: Policy, nodes: int) -> None:
    system = heap.heap(policy, nodes)
    found = search(transitions(system))
    assert (found.states, found.transitions) == explored(system)[:2]


@pytest.mark.parametrize("dropped", ["pending", "child"])
def test_a_rule_is_first_violated_at_the_same_depth(dropped: str) -> None:
    """Guards with a part left out: the shortest way is as long as it is."""
    system = heap.heap(Policy.WRITE_THROUGH, 3)
    pending, unlocked = BY_ID["pending_write_keeps_its_source"], heap.leaf_of_device

    @heap.action
    def evict_device(n):
        """An eviction that forgets to look at something."""
        guard = heap.on_device(n) & (n[heap.FULL].lock == 0)
        if dropped != "pending":
            guard = guard & ~n.write_pending
        if dropped != "child":
            guard = guard & unlocked(n)
        return guard, (heap.becomes(heap.on_device(n), False),)

    actions = tuple(evict_device if a.name == "evict_device" else a for a in system.actions)
    for rule in (pending, BY_ID["path_lock_covers_children"], BY_ID["backup_is_prefix_closed"]):
        one = replace(system, actions=actions, rules=(rule,))
        expected = explored(one)[2]
        found = search(transitions(one)).violation
        assert ({} if found is None else {found.rule: len(found.trace.moves)}) == expected
