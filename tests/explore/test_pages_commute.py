"""Judging the pages of a state, and judging the nodes that its cuts make, say the same; and so does every field.

On walks of the page model: the rules that its expressions find violated are those that columns find on the tree of
nodes, and on the tree in which every page is a node of its own. A field of a node is what its lowering says of the
fields of its pages.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sanitree.checker import report
from sanitree.checker.explore.results import Values
from sanitree.checker.rowwise import Seen, judging
from sanitree.invariants.rules import checks
from sanitree.invariants.vocabulary import (
    COMPONENTS,
    DEVICE,
    FIELDS,
    FULL,
    MAMBA,
    SWA,
    Component,
    Lowering,
    Policy,
    Sort,
)
from sanitree.models.protocol.pages import FAULTS, Pages, binary, pages, words
from sanitree.models.protocol.pages.observed import snapshot
from sanitree.models.snapshot import Key, Snapshot
from tests.explore.walking import Walker, chosen

SETS = ((FULL,), (FULL, MAMBA), (FULL, SWA))


def split_everywhere(w: Walker, state: Values) -> Values:
    """The same with every page that is there a node of its own."""
    at = {v.key: i for i, v in enumerate(w.system.variables)}
    there = [n for n in range(1, w.system.nodes + 1) if any(state[at[key], n] for key in w.system.exists)]
    return {**state, **{(at[words.CUT], n): 1 for n in there}}


class Judge:
    """The rules that a tree violates: one pass says whether there is any, and columns which."""

    def __init__(self, w: Walker) -> None:
        self.w = w
        self.any = judging(checks(w.system.rules, w.system.settings))

    def violated(self, s: Snapshot) -> set[str]:
        if self.any.on(Seen(s)) is None:
            return set()
        return {v.check.name for v in report.check(s, self.w.system.rules).violations}


def walked(w: Walker, seed: int, steps: int) -> Iterator[Values]:
    """The states of a walk, up to the first that violates a rule or that the model cannot hold."""
    rng, state = random.Random(seed), w.first
    for _ in range(steps):
        if not (enabled := w.enabled(state)):
            return
        state = w.after(state, chosen(rng, enabled))
        if not w.within(state):
            return
        yield state
        if w.violated(state):
            return


def trees(w: Walker, state: Values) -> tuple[Snapshot, Snapshot]:
    """The tree that the cuts make, and the one in which every page is a node."""
    return snapshot(w.system, state), snapshot(w.system, split_everywhere(w, state))


def misread(tree: Snapshot, pagewise: Snapshot) -> list[str]:
    """Fields of nodes that are not what their lowering makes of those of their pages."""
    nodes, each = tree.nodes, pagewise.nodes
    row_of = {int(page): row for row, page in enumerate(each.ids)}
    found = []
    for key, column in nodes.columns.items():
        lowering = FIELDS[Sort.NODE, key.name].lowering
        for row in range(1, len(nodes.ids)):
            rows = [row_of[page] for page in nodes.lists[Key("key")][row].tolist()]
            of_pages = [each.columns[key].listed[r] for r in rows]
            if key.component is not None and not COMPONENTS[key.component].per_token:
                # What a node has once, its last page has, and no other has any of it.
                fine = column.listed[row] == of_pages[-1] and (lowering is Lowering.NONE or not any(of_pages[:-1]))
            elif lowering is Lowering.LENGTH:
                fine = column.listed[row] == sum(of_pages)
            elif lowering is Lowering.UNIFORM:
                fine = {column.listed[row]} == set(of_pages)
            else:
                fine = lowering is Lowering.NONE or column.listed[row] == of_pages[-1]
            if not fine:
                found.append(f"{key} of node {int(nodes.ids[row])} is {column.listed[row]}, of its pages {of_pages}")
    return found


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("components", SETS, ids=lambda s: "+".join(c.name for c in s))
def test_without_a_fault(policy: Policy, components: tuple[Component, ...]) -> None:
    w = Walker(pages(Pages(policy=policy, components=components, parents=binary(5), requests=2)))
    judge = Judge(w)
    for state in walked(w, seed=1, steps=40):
        tree, pagewise = trees(w, state)
        assert (w.violated(state), judge.violated(tree), judge.violated(pagewise)) == (set(), set(), set())
        assert not misread(tree, pagewise)


def test_a_wrong_field_is_seen() -> None:
    """Pages of one node that differ: the check of fields can fail."""
    w = Walker(pages(Pages(parents=(0, 1))))
    state = w.after(w.first, ("insert", 2))
    at = {v.key: i for i, v in enumerate(w.system.variables)}
    locked = {**state, (at[Key.of("lock", FULL, DEVICE)], 1): 1}
    assert misread(*trees(w, locked)) == ["lock.full.device of node 2 is 0, of its pages [1, 0]"]


def fitting(fault: str) -> list[Pages]:
    """A model that shows a fault, for each policy and component set that does."""
    every = [
        Pages(policy=policy, components=components, parents=(0, 1, 2, 2), requests=2)
        for components in SETS
        for policy in Policy
    ]
    return [replace(m, fault=fault) for m in every if FAULTS[fault].fits(m)]


def assert_commutes(m: Pages, seeds: range, steps: int) -> None:
    """With a fault too, up to and with the first state that violates a rule; before that, fields lower as well.

    A fault may make the pages of one node differ, which no tree can show. None does before a rule is violated.
    """
    w = Walker(pages(m))
    judge = Judge(w)
    for seed in seeds:
        for state in walked(w, seed, steps):
            tree, pagewise = trees(w, state)
            mine = w.violated(state)
            assert (judge.violated(tree), judge.violated(pagewise)) == (mine, mine)
            assert mine or not misread(tree, pagewise)


@pytest.mark.parametrize("fault", FAULTS)
def test_with_a_fault(fault: str) -> None:
    assert_commutes(fitting(fault)[0], range(2), steps=20)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_with_a_fault_wherever_it_shows(fault: str) -> None:
    for m in fitting(fault):
        assert_commutes(m, range(4), steps=50)
