"""A hunt goes past what is known, and counts what each rule was asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sanitree.checker.hunt.known import overlooking
from sanitree.checker.hunt.play import Play
from sanitree.checker.hunt.wrong import Kind, Wrong
from sanitree.checker.rowwise import Seen, tallying
from sanitree.checker.tally import EVERY, Tally
from sanitree.invariants.catalogue import CATALOGUE
from sanitree.invariants.rules import checks
from sanitree.invariants.terms import Apply, Op
from sanitree.invariants.vocabulary import Policy
from sanitree.models.driving.operations import Copy, Evict, Finish, Match, Operation, Poll, Release, Start
from sanitree.models.driving.reference import ReferenceDriver
from sanitree.models.driving.setup import Setup
from tests.drafts import Draft
from tests.interpreter import Interpreter

BROKEN = Setup(policy=Policy.WRITE_BACK, fault="evict_does_not_wait")
GOES_WRONG: tuple[Operation, ...] = (Start((1, 2)), Finish(0), Release(0), Evict("full", 2))
GOES_ON: tuple[Operation, ...] = (Start((3,)), Finish(0), Release(0), Match((1, 2)))


def test_what_is_overlooked_ends_nothing_and_is_told_once() -> None:
    seen: list[Wrong] = []

    def overlook(wrong: Wrong) -> frozenset[str]:
        seen.append(wrong)
        return frozenset(wrong.names)

    play = Play(ReferenceDriver(BROKEN), overlook=overlook)
    assert play.follow((*GOES_WRONG, *GOES_ON))
    assert len(play.done) == len(GOES_WRONG) + len(GOES_ON)
    first, done = play.met[0]
    assert first.kind is Kind.RULE and "pending_write_keeps_its_source" in first.names and done == len(GOES_WRONG)
    told = [name for wrong in seen for name in wrong.names]
    assert len(told) == len(set(told)), "a rule is told twice"


def test_without_it_the_first_thing_ends_it() -> None:
    play = Play(ReferenceDriver(BROKEN))
    assert not play.follow((*GOES_WRONG, *GOES_ON))
    assert len(play.done) == len(GOES_WRONG) and not play.met


def test_what_is_looked_for_is_never_overlooked() -> None:
    wrong = Wrong(Kind.RULE, ("write_back_is_finished",))
    setup = Setup(policy=Policy.WRITE_BACK)
    rules = overlooking("0.5.12", setup)(wrong)
    assert rules and "pending_write_keeps_its_source" in rules
    assert overlooking("0.5.12", setup, wrong)(wrong) is None
    assert overlooking("0.5.13", setup)(wrong) is None, "fixed there"
    assert overlooking("reference", setup)(wrong) is None


def test_counts_are_those_of_a_slow_reading_of_the_rules() -> None:
    driver = ReferenceDriver(Setup())
    for op in (Start((1, 2)), Finish(0), Copy(0), Start((1, 3)), Poll()):
        if driver.can(op):
            driver.do(op)
    s = driver.subject().snapshot(None)
    about = checks(CATALOGUE, s.settings)
    counted = tallying(about).on(Seen(s))
    slow = Interpreter(Draft.read(s))
    for c, count in zip(about, counted, strict=True):
        answers = slow.judge(c) or []
        tested = 0
        for row, answer in enumerate(answers):
            term, holds = c.term, answer is not None
            while isinstance(term, Apply) and term.op is Op.IMPLIES:
                holds = holds and slow.value(term.args[0], {c.rule.var: row}) is True
                term = term.args[1]
            tested += holds
        assert count == tested, c.name
    assert any(counted) and not all(counted)


@pytest.mark.parametrize("asked", [1, EVERY, 3 * EVERY])
def test_a_tally_counts_a_state_in_so_many_and_knows_what_it_asked(asked: int) -> None:
    driver, tally = ReferenceDriver(Setup()), Tally()
    s = driver.subject().snapshot(None)
    about = checks(CATALOGUE, s.settings)
    first = [tally.see(lambda: about, s.settings, None, Seen(s)) for _ in range(asked)]
    assert first[0] > 0 and not any(first[1:]), "an empty cache says nothing new the second time"
    assert tally.judged == {"states": asked}
    assert tally.counts["root_is_the_top"] >= -(-asked // EVERY)
    assert tally.counts["pending_write_is_locked"] == 0 and "pending_write_is_locked" in tally.asked


def test_hidden_state_tells_states_apart_that_look_alike() -> None:
    def play(*operations: Operation) -> Play:
        found = Play(ReferenceDriver(replace(BROKEN, policy=Policy.WRITE_THROUGH, fault=None)))
        assert found.follow(operations)
        return found

    served = (Start((1, 2)), Finish(0), Release(0))
    flying, landed = play(*served), play(*served, Copy(0))
    assert not flying.driver.hidden().landed and len(landed.driver.hidden().landed) == 1
    assert flying.fingerprint() != landed.fingerprint()
    two = (*served, Start((3,)), Finish(0), Release(0))
    assert play(*two, Match((1, 2))).fingerprint() != play(*two, Match((3,))).fingerprint(), "the order of use"
