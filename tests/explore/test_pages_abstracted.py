"""A snapshot as a state of the page model: what `observed` shows of a state is that state again, as far as it shows."""

from __future__ import annotations

import random
from functools import cache

import pytest

from sanitree.checker.explore.results import Values
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.protocol.pages import Pages, binary, pages
from sanitree.models.protocol.pages.abstracted import abstracted
from sanitree.models.protocol.pages.observed import snapshot
from sanitree.models.protocol.system import System
from sanitree.models.snapshot import Key
from tests.explore.walking import Walker, chosen

pytest.importorskip("numba", reason="the explorer is the extra [explore]")

COMPONENTS = ((FULL,), (FULL, SWA), (FULL, MAMBA))

HIDDEN = {"held_reach", "write_reach", "load_reach", "write_copied", "load_copied", "right", "being_loaded", "in_load"}
HIDDEN |= {"in_load_of_parent"}
# No rule bounds hits, and a cache backs up whatever it is told to.
HIDDEN |= {"hits"}


@cache
def walker(policy: Policy, components: tuple[Component, ...]) -> Walker:
    return Walker(pages(Pages(policy, components, binary(6), requests=2)))


def walk(w: Walker, rng: random.Random, steps: int) -> Values:
    state: Values = w.first
    for _ in range(steps):
        enabled = w.enabled(state)
        if not enabled:
            break
        state = w.after(state, chosen(rng, enabled))
    return state


def by_key(system: System, state: Values) -> dict[tuple[Key, int], int]:
    return {(system.variables[i].key, n): v for (i, n), v in state.items()}


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("components", COMPONENTS, ids=lambda cs: "+".join(c.name for c in cs))
def test_what_is_shown_of_a_state_is_that_state(policy: Policy, components: tuple[Component, ...]) -> None:
    w = walker(policy, components)
    for seed in range(40):
        state = walk(w, random.Random(seed), 3 + seed % 20)
        told = by_key(w.system, state)
        s = snapshot(w.system, state)
        a = abstracted(s, range(len(s.nodes)), longest=9)
        keys = s.nodes.lists[Key("key")].each
        page_of = {
            new: old for row, new_pages in a.pages_of.items() for new, old in zip(new_pages, keys[row], strict=True)
        }
        for (key, page), value in a.known.items():
            if page in page_of:
                assert told[key, page_of[page]] == value, (seed, key, page)
            else:
                assert value == 0, "a page that is not there has nothing"
        hidden = {(key.name, page) for key, page in told} - {(key.name, page_of.get(page, 0)) for key, page in a.known}
        names = {name for name, page in hidden if page in page_of.values()}
        assert names <= HIDDEN, "only what no observer sees is left open"
