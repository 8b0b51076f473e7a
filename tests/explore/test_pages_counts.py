"""How many states and transitions the page model has; SPIN, and both ways to search, count alike."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import pytest

from sanitree.checker.explore.arithmetic import compare
from sanitree.checker.explore.promela import promela
from sanitree.checker.explore.results import Goal
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import Cell, transitions
from sanitree.checker.symbolic import E, conj, const
from sanitree.invariants.terms import Op
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.protocol.pages import Pages, binary, pages
from tests.explore import spin
from tests.explore.walking import Walker

pytest.importorskip("numba", reason="the explorer is the extra [explore]")

WT, SELECTIVE, WB = Policy.WRITE_THROUGH, Policy.WRITE_THROUGH_SELECTIVE, Policy.WRITE_BACK

SMALL = [
    (WT, (FULL,), 3, 302, 1_083),
    (SELECTIVE, (FULL,), 3, 1_066, 4_660),
    (WB, (FULL,), 3, 198, 657),
    (WT, (FULL,), 4, 2_347, 11_119),
    (SELECTIVE, (FULL,), 4, 12_803, 74_773),
    (WB, (FULL,), 4, 1_461, 6_437),
    (WT, (FULL, MAMBA), 3, 806, 3_181),
    (SELECTIVE, (FULL, MAMBA), 3, 2_737, 12_673),
    (WB, (FULL, MAMBA), 3, 419, 1_557),
    (WT, (FULL, SWA), 3, 1_034, 4_179),
    (SELECTIVE, (FULL, SWA), 3, 3_093, 14_043),
    (WB, (FULL, SWA), 3, 339, 1_179),
]
LARGE = [
    (WT, (FULL,), 6, 107_613, 742_525),
    (SELECTIVE, (FULL,), 6, 1_552_728, 13_151_670),
    (WB, (FULL,), 6, 68_127, 440_930),
    (WT, (FULL, MAMBA), 4, 15_856, 87_453),
    (SELECTIVE, (FULL, MAMBA), 4, 80_372, 513_904),
    (WB, (FULL, MAMBA), 4, 6_735, 35_239),
    (WT, (FULL, SWA), 4, 21_170, 114_483),
    (SELECTIVE, (FULL, SWA), 4, 88_685, 537_178),
    (WB, (FULL, SWA), 4, 4_331, 20_921),
]


@pytest.mark.parametrize(("policy", "components", "count", "states", "moves"), SMALL)
def test_small_ones(policy: Policy, components: tuple[Component, ...], count: int, states: int, moves: int) -> None:
    found = search(
        transitions(pages(Pages(policy=policy, components=components, parents=binary(count)))), device="torch"
    )
    assert (found.states, found.transitions, found.complete) == (states, moves, True)


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "components", "count", "states", "moves"), LARGE)
def test_large_ones(policy: Policy, components: tuple[Component, ...], count: int, states: int, moves: int) -> None:
    found = search(transitions(pages(Pages(policy=policy, components=components, parents=binary(count)))))
    assert (found.states, found.transitions, found.complete) == (states, moves, True)


@pytest.mark.parametrize("device", ["cpu", "torch"])
@pytest.mark.parametrize("policy", [WT, WB])
def test_state_for_state(policy: Policy, device: str) -> None:
    """Every state that a search by hand finds is reached, after as many moves, and there is no other."""
    w = Walker(pages(Pages(policy=policy, parents=(0, 1))))
    depths, level, depth = {tuple(w.first.values()): 0}, [w.first], 0
    while level:
        depth += 1
        later = {tuple(x.values()): x for x in (w.after(state, step) for state in level for step in w.enabled(state))}
        level = [state for at, state in later.items() if at not in depths]
        depths |= {tuple(state.values()): depth for state in level}
    cells = list(w.first)
    goals = [Goal(str(d), reduce(conj, map(is_, cells, at))) for at, d in depths.items()]
    found = search(w.model, goals=goals, device=device)
    assert found.states == len(depths)
    assert [g.depth for g in found.goals] == list(depths.values())


def is_(cell: Cell, value: int) -> E:
    return compare(Op.EQ, E("bits", cell), const(value), lambda _: MOST)


MOST = 15
"""No number of these models is larger."""


@pytest.mark.parametrize("policy", [WT, WB])
def test_both_ways_count_alike(policy: Policy) -> None:
    t = transitions(pages(Pages(policy=policy, components=(FULL, MAMBA), parents=binary(3))))
    mine, its = search(t), search(t, device="torch")
    assert (mine.states, mine.transitions, mine.levels) == (its.states, its.transitions, its.levels)
    assert mine.fired == its.fired


@pytest.mark.skipif(bool(spin.MISSING), reason=spin.WHY)
@pytest.mark.parametrize("policy", [WT, WB])
def test_spin_counts_alike(policy: Policy, tmp_path: Path) -> None:
    t = transitions(pages(Pages(policy=policy, parents=(0, 1))))
    mine = search(t, device="torch")
    its = spin.build(promela(t), tmp_path, ("-O0", *spin.EXACT[1:])).run("-m100000")
    assert (its.states, its.transitions, its.message) == (mine.states, mine.transitions, "")
