"""Expressions where only a part of a state is known: never otherwise than where all of it is."""

from __future__ import annotations

import random
from functools import cache

import pytest

from sanitree.checker.blame.partial import before, substituted, value
from sanitree.checker.explore.evaluate import evaluate
from sanitree.checker.explore.ground import Ground
from sanitree.checker.symbolic import const
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Policy
from sanitree.models.protocol.pages import Pages, binary, pages
from tests.explore.walking import Walker, chosen

CASES = [(Policy.WRITE_BACK, (FULL,)), (Policy.WRITE_THROUGH, (FULL, SWA)), (Policy.WRITE_THROUGH, (FULL, MAMBA))]


@cache
def walker(case: int) -> Walker:
    policy, components = CASES[case]
    return Walker(pages(Pages(policy, components, binary(4), requests=2)))


@pytest.mark.parametrize("case", range(len(CASES)))
def test_what_is_known_of_an_expression_is_so(case: int) -> None:
    w = walker(case)
    top = Ground(w.system).top
    state, rng = w.first, random.Random(case)
    known_of_all = 0
    for _ in range(25):
        step = chosen(rng, w.enabled(state))
        move, after = w.moves[step], w.after(state, step)
        part = {cell: v for cell, v in state.items() if rng.random() < 0.7}
        told: dict[object, int | None] = {}
        done: dict[object, object] = {}
        for e in (move.guard, *move.assigned.values(), *(r.wrong for r in w.model.rules)):
            true = evaluate(e, state)
            assert value(e, part, told) in (None, true)  # type: ignore[arg-type]
            assert value(e, state, {}) == true
            left = substituted(e, {c: const(v) for c, v in part.items()}, top, done)  # type: ignore[arg-type]
            assert evaluate(left, state) == true
            known_of_all += value(e, part, told) is not None  # type: ignore[arg-type]
        seen = {cell: v for cell, v in after.items() if rng.random() < 0.8}
        earlier = before(move, seen)
        assert earlier is not None, "the move that was made can have been the last"
        assert all(state[cell] == v for cell, v in earlier.items())
        state = after
    assert known_of_all > 100


def test_a_move_that_does_not_lead_there_is_told() -> None:
    w = walker(0)
    state = w.after(w.first, ("insert", 1))
    assert before(w.moves["insert", 1], state) is not None
    assert before(w.moves["write_back", 1], state) is None
    assert before(w.moves["drop", 1], state) is None
