"""The heap preset has the numbers of states and transitions that four other tools have counted."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from sanitree.checker.explore.evaluate import successors
from sanitree.checker.explore.results import Bounds
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import transitions
from sanitree.invariants.catalogue import BY_ID
from sanitree.invariants.language import Element
from sanitree.invariants.vocabulary import Policy
from sanitree.models.protocol import heap
from sanitree.models.protocol.system import action, becomes

pytest.importorskip("numba", reason="the explorer is the extra [explore]")


@pytest.mark.parametrize("cores", [1, 2])
def test_write_through_of_six(cores: int) -> None:
    found = search(transitions(heap.heap(Policy.WRITE_THROUGH, 6)), cores=cores)
    assert (found.states, found.transitions, found.complete) == (7_720, 54_499, True)
    assert found.violation is None
    assert not found.unfired


@pytest.mark.parametrize(
    ("policy", "nodes", "states", "steps"),
    [
        (Policy.WRITE_BACK, 8, 1_879_848, 16_775_902),
        pytest.param(Policy.WRITE_BACK, 9, 9_979_697, 99_507_854, marks=pytest.mark.slow),
        pytest.param(Policy.WRITE_THROUGH, 12, 5_776_160, 69_139_994, marks=pytest.mark.slow),
    ],
)
def test_large_ones(policy: Policy, nodes: int, states: int, steps: int) -> None:
    found = search(transitions(heap.heap(policy, nodes)))
    assert (found.states, found.transitions, found.complete) == (states, steps, True)
    assert found.peak_bytes / found.states < 24


def test_the_strict_rule_is_violated_by_a_legal_run_under_write_back() -> None:
    """That host copies form a prefix is a rule of write_through: here it is the rule that is wrong."""
    strict = replace(BY_ID["backup_is_prefix_closed"], when=BY_ID["pending_write_keeps_its_source"].when)
    found = search(transitions(replace(heap.heap(Policy.WRITE_BACK, 3), rules=(strict,))))
    assert found.violation is not None
    assert found.violation.rule == "backup_is_prefix_closed"
    assert [m.action.name for m in found.violation.trace.moves] == ["insert", "insert", "start_write_back", "ack"]
    assert len(found.violation.trace.states) == 5


def test_an_eviction_that_does_not_wait_is_found() -> None:
    @action
    def evict_device(n: Element) -> heap.Said:
        """An eviction that looks at no pending write."""
        return heap.on_device(n) & (n[heap.FULL].lock == 0) & heap.leaf_of_device(n), (
            becomes(heap.on_device(n), False),
        )

    system = heap.heap(Policy.WRITE_THROUGH, 3)
    actions = tuple(evict_device if a.name == "evict_device" else a for a in system.actions)
    found = search(transitions(replace(system, actions=actions)))
    assert found.violation is not None
    assert found.violation.rule == "pending_write_keeps_its_source"
    assert [m.action.name for m in found.violation.trace.moves] == ["insert", "start_backup", "evict_device"]


@pytest.mark.parametrize(("policy", "nodes"), [(Policy.WRITE_BACK, 3), (Policy.WRITE_THROUGH, 5)])
def test_mirror_images_are_one_state(policy: Policy, nodes: int) -> None:
    """As many states are left as there are trees without an order among siblings."""
    model = transitions(heap.heap(policy, nodes))
    first = dict.fromkeys(itertools.product(range(4), range(1, nodes + 1)), 0)
    seen, todo = {tuple(first.values())}, [first]
    while todo:
        for _, new in successors(model, todo.pop()):
            if (state := tuple(new.values())) not in seen:
                seen.add(state)
                todo.append(new)

    def tree(values: dict[tuple[int, int], int], node: int) -> object:
        below = sorted(tree(values, c) for c in (2 * node, 2 * node + 1) if c <= nodes)  # type: ignore[type-var]
        return tuple(values[v, node] for v in range(4)), tuple(below)

    folded = search(model, symmetry=True)
    assert folded.states == len({tree(dict(zip(first, state, strict=True)), 1) for state in seen})
    assert folded.complete


def test_a_way_through_mirror_images_is_a_run_of_the_model() -> None:
    """What is shown is no normal form: each state follows from the one before by the move that is named."""
    strict = replace(BY_ID["backup_is_prefix_closed"], when=BY_ID["pending_write_keeps_its_source"].when)
    system = replace(heap.heap(Policy.WRITE_BACK, 7), rules=(strict,))
    model = transitions(system)
    found = search(model, symmetry=True).violation
    assert found is not None
    shown = found.trace
    for state, move, later in zip(shown.states, shown.moves, shown.states[1:], strict=False):
        assert (move, later) in list(successors(model, state))


@pytest.mark.parametrize(
    ("bounds", "said"),
    [(Bounds(states=1000), "1,000 states"), (Bounds(seconds=0), "0 seconds"), (Bounds(bytes=1), "1 bytes")],
)
def test_a_bound_ends_it_without_an_answer(bounds: Bounds, said: str) -> None:
    found = search(transitions(heap.heap(Policy.WRITE_THROUGH, 6)), bounds)
    assert (found.complete, found.stopped, found.violation) == (False, said, None)


def test_what_takes_a_variable_beyond_its_bounds_is_an_error() -> None:
    @action
    def lock(n: Element) -> heap.Said:
        """A lock without a limit."""
        return heap.on_device(n), (becomes(n[heap.FULL].lock, n[heap.FULL].lock + 1),)

    system = heap.heap(Policy.WRITE_THROUGH, 2)
    with pytest.raises(OverflowError, match="lock of node 1"):
        search(transitions(replace(system, actions=(heap.insert, lock), rules=())))


def test_an_action_that_never_fires_is_said() -> None:
    system = heap.heap(Policy.WRITE_THROUGH, 2)
    found = search(transitions(replace(system, actions=(heap.insert, heap.ack))))
    assert found.unfired == ("ack",)
    assert found.dead == 1, "with everything inserted nothing more can happen"
