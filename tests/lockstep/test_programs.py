"""Actions as functions over a trie of any size: what the explorer's expressions say on a fixed tree, they say too."""

from __future__ import annotations

import random

import pytest

from sanitree.checker.explore.results import Values
from sanitree.checker.lockstep.program import State, Trie, programs
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, MAMBA, SWA, Component, Policy
from sanitree.models.protocol.pages import Pages, binary, pages
from tests.explore.walking import Walker, chosen

COMPONENTS = ((FULL,), (FULL, SWA), (FULL, MAMBA))


def state_of(w: Walker, values: Values) -> State:
    """The same state, its pages in rows."""
    system = w.system
    nobody = {(c, tier): 0 for c in system.settings.components for tier in (DEVICE, HOST)}
    root = [system.root[v.key] for v in system.variables]
    each = [[values[i, n] for i in range(len(system.variables))] for n in range(1, system.nodes + 1)]
    return State(Trie((0, *system.parents), nobody), [root, *each])


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("components", COMPONENTS, ids=lambda cs: "+".join(c.name for c in cs))
def test_they_allow_and_change_what_the_explorer_does(policy: Policy, components: tuple[Component, ...]) -> None:
    w = Walker(pages(Pages(policy, components, binary(6), requests=2)))
    actions = programs(w.system).actions
    done = set()
    for seed in range(12):
        rng, values = random.Random(seed), w.first
        for _ in range(14):
            state = state_of(w, values)
            enabled = {
                (name, n) for name, a in actions.items() for n in range(1, w.system.nodes + 1) if a.allowed(state, n)
            }
            assert enabled == w.enabled(values)
            if not enabled:
                break
            step = chosen(rng, enabled)
            values = w.after(values, step)
            changes = actions[step[0]].changes(state, step[1])
            assert state.after(changes).rows == state_of(w, values).rows
            done.add(step[0])
    assert len(done) >= len(actions) - 2, "walks do nearly everything that there is"


def test_slots_of_others_take_room() -> None:
    m = Pages(Policy.WRITE_THROUGH, (FULL,), (0,), device=1)
    insert = programs(pages(m)).actions["insert"]
    rows = [[pages(m).root[v.key] for v in pages(m).variables], [0] * len(pages(m).variables)]
    for held in (0, 1):
        assert bool(insert.allowed(State(Trie((0, 0), {(FULL, DEVICE): held, (FULL, HOST): 0}), rows), 1)) is (
            held == 0
        )
