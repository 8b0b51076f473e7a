"""What small trees show not to follow: never what follows on trees of any size."""

from __future__ import annotations

import pytest

from sanitree.checker.explore.configured import Configuration, model
from sanitree.checker.prove.bounded import Induction
from sanitree.checker.prove.small import Small
from sanitree.checker.prove.unbounded import Unbounded
from sanitree.invariants.vocabulary import FULL, MAMBA, Component, Policy
from sanitree.models.snapshot import Key

TREES = ((0, 1, 1), (0, 1, 2))


def of(policy: Policy, components: tuple[Component, ...]) -> tuple[Small, list[str]]:
    made = [model(Configuration(preset="pages", policy=policy, components=components, tree=tree)) for tree in TREES]
    return Small([Induction(m) for m in made]), [r.rule for r in made[0].transitions.rules]


@pytest.mark.parametrize("policy", [Policy.WRITE_THROUGH, Policy.WRITE_BACK])
def test_no_lemma_is_lost(policy: Policy) -> None:
    small, rules = of(policy, (FULL,))
    system = small.trees[0].system
    alone, helped = Unbounded(system, rules), Unbounded(system, rules, small=small)
    assert {repr(e) for e, _ in alone.s.found} <= {repr(e) for e, _ in helped.s.found}


def test_what_is_along_a_line_and_what_is_not() -> None:
    """Of a write that spans nodes: all its pages are in it, and not all of them begin a node."""
    small, _ = of(Policy.WRITE_THROUGH, (FULL, MAMBA))
    (line, *_) = small.trees[0].system.lines
    apart = {str(v.key): small.steps(v.key, 1, line) for v in small.trees[0].system.variables if v.top == 1}
    assert set(apart.values()) == {True, False}
    assert small.steps(Key("cut"), 0, line) or small.steps(Key("cut"), 1, line)


def test_what_follows_from_claims_and_what_does_not() -> None:
    small, rules = of(Policy.WRITE_THROUGH, (FULL,))
    every = set(small.trees[0].names)
    for rule in rules:
        assert small.without(rule, every), "where nothing is supposed, each may be violated"
        assert not small.without(rule, ()), "where all is, none is"
