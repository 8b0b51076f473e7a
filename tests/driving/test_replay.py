"""Traces done again: what is reproduced, what is gone, what cannot run, and where results part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sanitree.checker.replay import Answer, Replay, replay
from sanitree.invariants.vocabulary import FULL, SWA, Policy
from sanitree.models.driving.operations import Copy, Evict, Finish, Match, Operation, Prefetch, Release, Start
from sanitree.models.driving.reference import ReferenceDriver
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import Done, Found, Trace
from tests.engines_here import needs

RACE: tuple[Operation, ...] = (Start((1, 2)), Finish(0), Release(0), Evict("full", 2))
BACK = Setup(policy=Policy.WRITE_BACK)
RULE = Found("rule", ("pending_write_is_locked",))
FAULTY = replace(BACK, fault="evict_does_not_wait")


def recorded(setup: Setup, operations: tuple[Operation, ...], found: Found | None = None) -> Trace:
    driver, done = ReferenceDriver(setup), []
    for op in operations:
        result = driver.do(op)
        done.append(Done(op, result, driver.subject().snapshot(None)))
    return Trace(setup, tuple(done), driver.on, found)


def test_a_fault_is_reproduced_and_gone_without_it() -> None:
    trace = recorded(FAULTY, RACE, Found("rule", ("write_back_is_finished",)))
    again = replay(trace, "reference")
    assert (again.answer, again.done) == (Answer.REPRODUCED, 4)
    assert again.wrong is not None
    assert "write_back_is_finished" in again.wrong.names
    assert again.parted is None
    gone = replay(replace(trace, setup=BACK), "reference")
    assert gone.answer is Answer.GONE
    assert gone.wrong is None
    assert gone.parted is not None
    assert gone.parted.number == 3
    assert "recorded → now" in gone.parted.tree


def test_another_thing_that_goes_wrong_is_not_what_was_looked_for() -> None:
    again = replay(Trace.of(FAULTY, RACE, found=Found("rule", ("root_is_locked_once",))), "reference")
    assert again.answer is Answer.CANNOT_RUN
    assert again.wrong is not None
    assert "and not the rule root_is_locked_once" in again.reason


def test_what_nothing_was_found_in_is_reproduced_where_results_are_the_same() -> None:
    trace = recorded(BACK, RACE)
    assert replay(trace, "reference").answer is Answer.REPRODUCED
    first = replace(trace.operations[0], result="something else", state=None)
    again = replay(replace(trace, operations=(first, *trace.operations[1:])), "reference")
    assert again.answer is Answer.GONE
    assert again.parted is not None
    assert (again.parted.number, again.parted.recorded) == (0, "something else")


@pytest.mark.parametrize(
    ("setup", "operations", "words"),
    [
        (Setup(), (Copy(0),), "operation 0, copy(0), cannot be done here"),
        (Setup(fault="no such"), RACE, "such a cache cannot be built here"),
        (Setup(host_pages=0), (Prefetch((1,)),), "cannot be done here"),
    ],
)
def test_what_cannot_run_says_why(setup: Setup, operations: tuple[Operation, ...], words: str) -> None:
    again = replay(Trace.of(setup, operations, found=RULE), "reference")
    assert again.answer is Answer.CANNOT_RUN
    assert words in again.reason


def test_what_has_nothing_to_act_on_since_results_parted_is_left_out() -> None:
    trace = recorded(FAULTY, (*RACE, Copy(0), Match((1,))), Found("rule", ("write_back_is_finished",)))
    again = replay(replace(trace, setup=BACK), "reference")
    assert again.answer is Answer.GONE
    assert again.skipped == (4,)


def test_an_answer_is_the_same_as_json() -> None:
    for setup in (FAULTY, BACK):
        again = replay(replace(recorded(FAULTY, RACE, RULE), setup=setup), "reference")
        assert Replay.of(again.plain()) == again


@pytest.mark.engine
@pytest.mark.parametrize(("version", "answer"), [("0.5.12", Answer.REPRODUCED), ("0.5.13.post1", Answer.GONE)])
def test_the_race_on_real_engines(version: str, answer: Answer) -> None:
    needs(version)
    again = replay(Trace.of(BACK, RACE, found=RULE), version)
    assert again.answer is answer, again.reason
    assert again.on == version


@pytest.mark.engine
@pytest.mark.parametrize(
    ("version", "more", "words"),
    [
        ("0.5.13.post1", {"core": "rust"}, "no Rust core"),
        ("0.5.12", {"components": (FULL, SWA), "fault": "evict_does_not_wait"}, "planted in the reference cache"),
    ],
)
def test_what_an_engine_cannot_be(version: str, more: dict[str, Any], words: str) -> None:
    needs(version)
    again = replay(Trace.of(replace(BACK, **more), RACE, found=RULE), version)
    assert again.answer is Answer.CANNOT_RUN
    assert words in again.reason


def test_an_engine_that_is_not_there() -> None:
    again = replay(Trace.of(BACK, RACE, found=RULE), "0.5.99")
    assert again.answer is Answer.CANNOT_RUN
    assert "0.5.99" in again.reason
