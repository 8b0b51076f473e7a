"""No step rule has anything against what calls may do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from random import Random

import pytest

from sanitree.invariants.calls import Operation
from sanitree.models.snapshot import validate
from tests.drafts import Draft
from tests.legal import PLANS
from tests.steps.moves import MOVES, Move
from tests.steps.stage import Stage, shuffle, stage
from tests.test_legal import judge_all

LATE = "release_undoes_its_acquire"
"""What nobody can tell of a request that was there when following began."""


def silent(s: Stage, where: object) -> int:
    """Fails where a rule reports a step, or cannot judge it; how many instances were judged."""
    checked = 0
    for report in s.follow():
        assert not report.violations, (where, [(v.check.name, v.element) for v in report.violations])
        for f in report.findings:
            assert f.observed, (where, f.check.name)
            assert not f.unchecked or f.check.rule.id == LATE, (where, f.check.name)
            checked += f.checked
    return checked


@pytest.mark.parametrize("operation", Operation, ids=lambda o: o.value)
def test_nothing_happens_and_nothing_is_said(operation: Operation) -> None:
    for seed in range(40):
        s = stage(seed, operation)
        shuffle(s.after, Random(seed))
        assert silent(s, seed) or operation in (Operation.RESET,)


def made(move: Move, seeds: Iterable[int]) -> Iterator[tuple[int, Stage]]:
    """The step on the cache of each seed that has a place for it."""
    for seed in seeds:
        rng = Random(f"{move.name} {seed}")
        s = stage(seed, move.operation)
        if move.do(s, rng):
            if rng.random() < 0.5:
                shuffle(s.after, rng)
            yield seed, s


@pytest.mark.parametrize("move", MOVES, ids=lambda m: m.name)
def test_a_legal_call_is_not_reported(move: Move) -> None:
    found = list(islice(made(move, range(6 * PLANS)), 8))
    assert len(found) == 8, f"only {len(found)} caches have a place for {move.name}"
    for seed, s in found:
        silent(s, seed)
    for _, s in found[:4]:
        for d in (s.first, *(d for _, d in s.past), s.after):
            legal_state(d)


@pytest.mark.slow
@pytest.mark.parametrize("move", MOVES, ids=lambda m: m.name)
def test_nor_is_it_anywhere(move: Move) -> None:
    for seed, s in made(move, range(1000, 1000 + PLANS)):
        silent(s, seed)
        legal_state(s.after)


def legal_state(d: Draft) -> None:
    """What calls come from and lead to is legal itself: a wrong tree proves nothing about a rule on steps."""
    validate(d.snapshot())
    judge_all(d)
