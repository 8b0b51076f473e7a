"""SPIN, on what is exported, sees the states and transitions that the explorer sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sanitree.checker.explore.promela import promela
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import transitions
from sanitree.checker.symbolic import FALSE, TRUE, E, const
from sanitree.invariants.catalogue import BY_ID
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.protocol import heap
from sanitree.models.protocol.pages import Pages, pages
from sanitree.models.protocol.system import System
from tests.explore import spin
from tests.explore.by_hand import by_hand
from tests.explore.interpreter import explored

pytest.importorskip("numba", reason="the explorer is the extra [explore]")
pytestmark = pytest.mark.skipif(bool(spin.MISSING), reason=spin.WHY)

WB, WT = Policy.WRITE_BACK, Policy.WRITE_THROUGH
QUICK = ("-O0", *spin.EXACT[1:])


def checked(text: str, folder: Path, *options: str) -> spin.Checked:
    return spin.build(text, folder, (*QUICK, *options)).run("-m1000000")


@pytest.mark.parametrize("by", [(), ("-DBFS",)], ids=["depth first", "breadth first"])
def test_write_through_of_six(tmp_path: Path, by: tuple[str, ...]) -> None:
    found = checked(promela(transitions(heap.heap(WT, 6))), tmp_path, *by)
    assert (found.states, found.transitions, found.message) == (7_720, 54_499, "")


@pytest.mark.parametrize("policy", [WT, WB])
@pytest.mark.parametrize("nodes", [1, 3])
def test_small_ones_are_as_the_model_reads(tmp_path: Path, policy: Policy, nodes: int) -> None:
    system = heap.heap(policy, nodes)
    found = checked(promela(transitions(system)), tmp_path)
    assert (found.states, found.transitions) == explored(system)[:2]


@pytest.mark.parametrize(("policy", "nodes"), [(WT, 6), (WB, 6)])
def test_written_by_hand_it_is_the_same_model(tmp_path: Path, policy: Policy, nodes: int) -> None:
    mine = checked(by_hand(policy, nodes), tmp_path / "by hand", "-DBFS")
    made = checked(promela(transitions(heap.heap(policy, nodes))), tmp_path / "exported", "-DBFS")
    assert (mine.states, mine.transitions, mine.depth) == (made.states, made.transitions, made.depth)


@pytest.mark.parametrize("components", [(FULL,), (FULL, SWA), (FULL, MAMBA)], ids=["full", "full+swa", "full+mamba"])
def test_the_page_model(tmp_path: Path, components: tuple[Component, ...]) -> None:
    t = transitions(pages(Pages(components=components, parents=(0, 1, 1))))
    ours = search(t, cores=1)
    found = checked(promela(t), tmp_path, "-DBFS")
    assert (found.states, found.transitions, found.message) == (ours.states, ours.transitions, "")
    assert ours.complete


@pytest.mark.slow
@pytest.mark.parametrize("text", ["exported", "by hand"])
def test_write_back_of_eight(tmp_path: Path, text: str) -> None:
    said = by_hand(WB, 8) if text == "by hand" else promela(transitions(heap.heap(WB, 8)))
    found = spin.build(said, tmp_path, (*spin.EXACT, "-DBFS")).run("-w24")
    assert (found.states, found.transitions, found.message) == (1_879_848, 16_775_902, "")


def _strict(nodes: int) -> System:
    """The rule that a legal run violates under write_back."""
    rule = replace(BY_ID["backup_is_prefix_closed"], when=BY_ID["pending_write_keeps_its_source"].when)
    return replace(heap.heap(WB, nodes), rules=(*heap.heap(WB, nodes).rules, rule))


def test_it_fails_the_assertion_of_the_rule_that_is_violated_as_early(tmp_path: Path) -> None:
    t = transitions(_strict(3))
    number = next(i for i, r in enumerate(t.rules, 1) if r.rule == "backup_is_prefix_closed")
    found = checked(promela(t), tmp_path, "-DBFS")
    assert found.message == f"assertion violated ({number}==0)"
    assert explored(t.system)[2] == {"backup_is_prefix_closed": 4}
    assert found.depth == 4


def test_a_rule_that_no_state_can_violate_is_no_alternative() -> None:
    t = transitions(heap.heap(WT, 2))
    text = promela(replace(t, rules=(replace(t.rules[0], wrong=FALSE), replace(t.rules[1], wrong=TRUE))))
    assert "assert(1 == 0)" not in text
    assert "assert(2 == 0)" in text


def test_all_of_a_move_happens_at_once(tmp_path: Path) -> None:
    """Two locks that change places: neither may be overwritten before it is read."""
    t = transitions(heap.heap(WT, 2))
    lock = next(i for i, v in enumerate(t.system.variables) if v.key == heap.LOCK)
    up, swap = t.moves[0], t.moves[1]
    first, second = E("bits", (lock, 1)), E("bits", (lock, 2))
    moves = (
        replace(up, guard=E("<", (first, const(2))), assigned={(lock, 1): E("+", (first, const(1)))}),
        replace(swap, guard=TRUE, assigned={(lock, 1): second, (lock, 2): first}),
    )
    found = checked(promela(replace(t, moves=moves, rules=())), tmp_path)
    assert found.states == 9, "every pair of 0, 1, 2"
    assert found.transitions == 9 + 6


def test_truth_values_are_compared_as_such(tmp_path: Path) -> None:
    """Locks of 1 and of 2 are both locks."""
    t = transitions(heap.heap(WT, 2))
    lock = next(i for i, v in enumerate(t.system.variables) if v.key == heap.LOCK)
    first, second = E("bits", (lock, 1)), E("bits", (lock, 2))
    held = [E("<", (const(0), x)) for x in (first, second)]
    up = t.moves[0]
    moves = tuple(
        replace(up, guard=E("<", (x, const(2))), assigned={(lock, n): E("+", (x, const(1)))})
        for n, x in ((1, first), (2, second))
    )
    both = replace(t.rules[0], wrong=E("and", (E("differ", tuple(held)), E("and", (held[0], held[1])))))
    found = checked(promela(replace(t, moves=moves, rules=(both,))), tmp_path)
    assert (found.states, found.message) == (9, "")
