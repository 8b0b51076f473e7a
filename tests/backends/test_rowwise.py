"""Rules compiled row by row find what columns find, whatever the state is and whatever of it is unknown.

Steps are compared wherever a test follows any: see `tests.steps.stage`.
"""

from __future__ import annotations

from functools import cache
from random import Random

import pytest

from sanitree.checker.columns import Evaluator
from sanitree.checker.rowwise import Programs, Seen, judging
from sanitree.invariants.rules import Check
from sanitree.invariants.vocabulary import Settings
from sanitree.models.snapshot import Snapshot
from tests.corrupt import corrupt, veil
from tests.drafts import Draft
from tests.legal import checks_of, legal
from tests.planted.faults import FAULTS
from tests.planted.plant import planted
from tests.planted.tools import Fault


@cache
def whole(settings: Settings) -> Programs:
    return judging(checks_of(settings))


@cache
def alone(check: Check) -> Programs:
    return judging([check])


def agree(s: Snapshot, each: bool = False) -> set[str]:
    """Demands that both backends find the same; the checks that are violated."""
    every, judge = checks_of(s.settings), Evaluator(s).judge
    violated = {c.name for c in every if judge(c).violated}
    said = whole(s.settings).on(Seen(s))
    assert said is None if not violated else every[said].name in violated
    if each:
        for c in every:
            assert (alone(c).on(Seen(s)) is not None) == (c.name in violated), c.name
    return violated


def drafted(seed: int) -> Draft:
    rng = Random(seed)
    d = corrupt(legal(seed % 50), rng, rng.choice((0, 1, 3, 8)))
    return veil(d, rng) if seed % 2 else d


def test_legal_caches_pass() -> None:
    for seed in range(60):
        assert not agree(legal(seed).snapshot())


def test_wrong_and_half_known_caches_are_judged_alike() -> None:
    met: set[str] = set()
    for seed in range(200):
        met |= agree(drafted(seed).snapshot(), each=seed % 20 == 0)
    assert len(met) > 60


@pytest.mark.slow
def test_thousands_of_them_are_judged_alike() -> None:
    for seed in range(200, 6000):
        agree(drafted(seed).snapshot(), each=seed % 20 == 0)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_a_planted_fault_is_found(fault: Fault) -> None:
    p = next(planted(fault, range(288)))
    assert p.check.name in agree(p.draft.snapshot(), each=True)


def test_a_program_is_made_again_only_where_a_state_has_another_shape() -> None:
    programs, settings = whole(legal(0).settings), legal(0).settings
    for seed in range(40):
        if (d := legal(seed)).settings == settings:
            programs.on(Seen(d.snapshot()))
    assert programs.made == 1
    d = legal(0)
    d.transfers = None
    programs.on(Seen(d.snapshot()))
    assert programs.made == 2
