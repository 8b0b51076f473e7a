"""A live cache's state as the first of the page model: each is legal there, and what it shows is shown again."""

from __future__ import annotations

import pytest

from sanitree.checker.explore import concrete
from sanitree.checker.explore.onward import onward
from sanitree.checker.explore.results import Bounds
from sanitree.checker.report import check
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, MAMBA, SWA, Component, Policy
from sanitree.models.snapshot import Key
from tests.blame.corrupting import healthy

pytest.importorskip("numba", reason="the explorer is the extra [explore]")

COMPONENTS = ((FULL,), (FULL, SWA), (FULL, MAMBA))
MOST = 9
"""Nodes: larger states are proved legal as well, and take z3 longer."""


def assert_legal_there(policy: Policy, components: tuple[Component, ...], seed: int, moves: int) -> None:
    s = healthy(policy, components, seed, moves)
    rows = range(1, min(len(s.nodes), MOST))
    o = onward(s, rows, None, (), 30.0)
    seen = o.model.snapshot(concrete.first(o.model.transitions))
    assert not check(seen).violations
    for row in o.abstraction.pages_of:
        mine = seen.row_of[int(s.nodes.ids[row])]
        for c in components:
            for tier in (DEVICE, HOST):
                key = Key.of("present", c, tier)
                assert seen.nodes.columns[key].listed[mine] == s.nodes.columns[key].listed[row]


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("components", COMPONENTS, ids=lambda cs: "+".join(c.name for c in cs))
def test_a_live_state_is_legal_in_the_model(policy: Policy, components: tuple[Component, ...]) -> None:
    assert_legal_there(policy, components, seed=3, moves=12)


@pytest.mark.slow
@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("components", COMPONENTS, ids=lambda cs: "+".join(c.name for c in cs))
def test_many_live_states_are(policy: Policy, components: tuple[Component, ...]) -> None:
    for seed in range(12):
        assert_legal_there(policy, components, seed, moves=4 + 3 * seed)


def test_a_search_from_there_ends_after_so_many_moves() -> None:
    from sanitree.checker.explore.search import search

    o = onward(healthy(Policy.WRITE_BACK, (FULL,), 1), (1, 2), None, (), 30.0)
    by_code = [search(o.model.transitions, Bounds(moves=2), device=device) for device in ("cpu", "torch")]
    for found in by_code:
        assert (found.stopped, found.depth, found.complete, found.violation) == ("2 moves", 2, False, None)
    assert by_code[0].levels == by_code[1].levels
    nothing = search(o.model.transitions, Bounds(moves=0))
    assert nothing.states == 1
