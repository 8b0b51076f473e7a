"""The explorer does with the page model what it says, read word for word: states, transitions, violated rules."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from sanitree.checker.explore.results import Values
from sanitree.checker.explore.search import search
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.protocol.pages import FAULTS, Pages, binary, pages
from tests.explore.interpreter import Model, State, World, explored
from tests.explore.walking import Walker, chosen

pytest.importorskip("numba", reason="the explorer is the extra [explore]")

SETS = ((FULL,), (FULL, MAMBA), (FULL, SWA))
EVERY = pytest.mark.parametrize(
    ("policy", "components"),
    [(policy, components) for policy in Policy for components in SETS],
    ids=lambda x: "+".join(c.name for c in x) if isinstance(x, tuple) else x.value,
)


@EVERY
def test_states_and_transitions(policy: Policy, components: tuple[Component, ...]) -> None:
    system = pages(Pages(policy=policy, components=components, parents=(0, 1)))
    found = search(Walker(system).model, device="torch")
    assert (found.states, found.transitions, {}) == explored(system)


@pytest.mark.slow
@EVERY
def test_states_and_transitions_of_three(policy: Policy, components: tuple[Component, ...]) -> None:
    system = pages(Pages(policy=policy, components=components, parents=binary(3)))
    found = search(Walker(system).model, device="torch")
    assert (found.states, found.transitions, {}) == explored(system)


@EVERY
def test_step_by_step(policy: Policy, components: tuple[Component, ...]) -> None:
    """Along a walk, every successor of every state."""
    m = Pages(policy=policy, components=components, parents=(0, 1, 2, 2), requests=2)
    assert_same_steps(m, seed=1, steps=5)


@pytest.mark.parametrize("fault", FAULTS)
def test_with_a_fault(fault: str) -> None:
    """The rules that are violated as well."""
    every = [
        Pages(policy=policy, components=components, parents=(0, 1), device=2, host=2)
        for components in SETS
        for policy in Policy
    ]
    m = next(m for m in every if FAULTS[fault].fits(m))
    for seed in range(2):
        assert_same_steps(replace(m, fault=fault), seed, steps=5)


def assert_same_steps(m: Pages, seed: int, steps: int) -> None:
    w, model = Walker(pages(m)), Model(pages(m))
    rng, state = random.Random(seed), w.first
    for _ in range(steps):
        world = World(model, plain(w, state))
        assert w.violated(state) == world.violated()
        mine = {step: plain(w, w.after(state, step)) for step in w.enabled(state)}
        assert mine == {(name, page): new for name, page, new in world.successors()}
        if not mine:
            return
        state = w.after(state, chosen(rng, mine))
        if not w.within(state):
            return


def plain(w: Walker, state: Values) -> State:
    """A state by the names of its variables."""
    return {(w.system.variables[i].key, n): value for (i, n), value in state.items()}
