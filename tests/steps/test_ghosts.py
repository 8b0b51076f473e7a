"""What the checker keeps from call to call: from when, for whom, and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import pytest

from sanitree.checker.follow import Follower
from sanitree.checker.report import Report
from sanitree.invariants.calls import GHOST_FIELDS, Operation
from sanitree.invariants.catalogue import BY_ID, GHOSTS
from sanitree.invariants.language import ite, trait
from sanitree.invariants.rules import Family, step
from sanitree.invariants.steps import Ghost, before, ghost
from sanitree.invariants.vocabulary import Sort
from sanitree.models.step import Call
from tests.drafts import Draft
from tests.legal import legal, settle
from tests.planted.tools import pick, submit
from tests.steps.move import lockable, start_write, writable
from tests.steps.stage import Stage, forget, stage, transfer
from tests.steps.verdicts import verdicts

OWED, RELEASE = "every_submit_is_acked_once", "release_undoes_its_acquire"


def follow(s: Stage, rule: str, of: int | None = None) -> list[set[bool | None]]:
    """What each step's report says of a rule, of one element or at whatever place."""
    return [{x for (_, who), x in verdicts(r).items() if of in (None, who)} for r in s.follow((BY_ID[rule],))]


def with_transfer(is_write: bool | None = None) -> Iterator[Stage]:
    """Stages with a transfer in flight from the start."""
    for seed in range(60):
        s = stage(seed, Operation.POLL_WRITES)
        if is_write in s.after.transfers("is_write") or (is_write is None and len(s.after.transfers)):
            yield s


def quiet(s: Stage, operation: Operation = Operation.MATCH) -> None:
    """A call that does nothing comes next."""
    s.next(operation)


# Transfers that are owed an acknowledgement.


def test_what_is_in_flight_when_following_starts_counts_as_submitted() -> None:
    for s in with_transfer():
        s.acknowledge(0)
        assert follow(s, OWED) == [{True}]


def test_and_is_acknowledged_once_all_the_same() -> None:
    for s in with_transfer():
        ack, _ = s.acknowledge(0)
        s.call.acked.append(ack)  # type: ignore[union-attr]
        assert False in follow(s, OWED)[-1]


def test_a_transfer_that_is_gone_is_forgotten() -> None:
    """The next of that node is another one."""
    done = 0
    for seed in range(60):
        s = stage(seed, Operation.BACK_UP)
        row = pick(Random(seed), writable(s))
        if row is None:
            continue
        done += 1
        number = s.after.nodes.ids[row]
        for again in range(3):
            if again:
                at = submit(s.after, s.after.nodes.ids.index(number), is_write=True)
                s.call.submitted.append(transfer(s.after, at))  # type: ignore[union-attr]
            else:
                start_write(s, row)
            s.next(Operation.POLL_WRITES)
            s.acknowledge(s.after.transfers("ack").index(number))
            s.next(Operation.BACK_UP)
        assert all(found <= {True} for found in follow(s, OWED))
    assert done > 5


def test_one_that_was_lost_is_reported_once() -> None:
    """It is gone, and so forgotten: the calls that follow are not to blame."""
    for s in with_transfer():
        forget(s.after.transfers, 0)
        quiet(s)
        quiet(s)
        first, *later = follow(s, OWED)
        assert False in first
        assert all(False not in x for x in later)


@pytest.mark.parametrize("what", ["submitted", "acked"])
def test_where_nobody_listened_it_is_not_checked_and_later_it_is(what: str) -> None:
    done = 0
    for s in with_transfer():
        s.acknowledge(0)
        settle(s.after)
        setattr(s.call, what, None)
        quiet(s)
        first, then = follow(s, OWED)
        assert first == {None}
        assert then <= {True}, "what is in flight now counts as submitted, as at the start"
        done += bool(then)
        if len(s.after.transfers):
            s.next(Operation.POLL_WRITES)
            ack, _ = s.acknowledge(0)
            s.call.acked.append(ack)  # type: ignore[union-attr]
            assert False in follow(s, OWED)[-1], "and is acknowledged once"
    assert done > 5


def test_where_transfers_were_not_observed_what_was_kept_is_forgotten() -> None:
    """It may have ended meanwhile, and another one of its node begun."""
    done = 0
    for s in with_transfer(True):
        at = s.after.transfers("is_write").index(True)
        ack, _ = s.acknowledge(at)
        settle(s.after)
        observed, s.after.transfers = s.after.transfers, None
        s.next(Operation.MATCH)
        s.after.transfers = observed
        s.next(Operation.BACK_UP)
        row = s.after.nodes.ids.index(ack[1])
        s.call.submitted.append(transfer(s.after, submit(s.after, row, is_write=True)))  # type: ignore[union-attr]
        reports = s.follow()
        unseen = [[f.observed for f in r.findings if f.check.rule.id == OWED] for r in reports]
        assert unseen == [[False], [False], [True]]
        assert follow(s, OWED)[-1] == {True}
        done += 1
    assert done > 5


# What a request has locked.


def test_of_a_request_that_was_there_before_nobody_knows_what_it_locked() -> None:
    done = 0
    for seed in range(60):
        s = stage(seed, Operation.RELEASE)
        for number in s.before.requests.ids:
            s.call.request = number
            assert follow(s, RELEASE) == [{None} if len(s.before.requests) == 1 else {None, True}]
            done += 1
    assert done > 20


def test_nor_where_the_locks_were_not_observed_when_it_came() -> None:
    for seed in range(20):
        s = stage(seed, Operation.ACQUIRE)
        s.come(Random(seed).choice(lockable(s)))
        settle(s.after)
        for key in [k for k in s.before.nodes.columns if k.name == "lock"]:
            del s.before.nodes.columns[key]
        s.next(Operation.RELEASE)
        s.go(max(s.held))
        settle(s.after)
        came, went = follow(s, RELEASE)
        assert not came  # nothing was released
        assert {x for x in went if x is not True} == {None}
        s.next(Operation.ACQUIRE)
        s.come(Random(seed).choice(lockable(s)))
        settle(s.after)
        s.next(Operation.RELEASE)
        s.go(max(s.held))
        settle(s.after)
        assert follow(s, RELEASE, of=max(s.held))[-1] == {True}, "it came under other eyes"


def test_a_number_that_comes_again_is_another_request() -> None:
    for seed in range(20):
        s, rng = stage(seed, Operation.ACQUIRE), Random(seed)
        numbers = set()
        for _ in range(3):
            number = s.come(rng.choice(lockable(s)))
            numbers.add(number)
            settle(s.after)
            s.next(Operation.RELEASE)
            s.go(number)
            settle(s.after)
            s.next(Operation.ACQUIRE)
        assert len(numbers) == 1
        assert all(False not in found for found in follow(s, RELEASE))


# Ghosts of one's own.


@contextmanager
def declared(*ghosts: Callable[[], Ghost]) -> Iterator[list[Ghost]]:
    """Ghosts for one test; their names are free again after it."""
    taken = set(GHOST_FIELDS)
    try:
        yield [g() for g in ghosts]
    finally:
        for key in set(GHOST_FIELDS) - taken:
            del GHOST_FIELDS[key]


def age(scope: Sort, first: int) -> Callable[[], Ghost]:
    def make() -> Ghost:
        @ghost(scope, "calls", initial=first)
        def age(e):
            """calls since it was met"""
            return before(e).age + 1

        return age

    return make


def ages(scope: Sort, ghosts: list[Ghost], s: Stage, least: int) -> list[Report]:
    @step(Family.SHAPE, scope, on=list(Operation))
    def is_old(e):
        """It has been there for so many calls."""
        return e.age >= least

    return s.follow((is_old,), ghosts)


def test_a_ghost_may_be_of_anything_also_where_no_transfer_was_observed() -> None:
    s = stage(5, Operation.MATCH)
    s.before.transfers = s.after.transfers = None
    s.next(Operation.MATCH)
    with declared(age(Sort.NODE, 0), age(Sort.TREE, 7)) as ghosts:
        for scope, least in ((Sort.NODE, 2), (Sort.TREE, 9)):
            first, second = ages(scope, ghosts, s, least)
            assert first.findings[0].checked and len(first.findings[0].violated) == first.findings[0].checked
            assert second.findings[0].checked and not second.findings[0].violated
            assert not second.unchecked


def test_ghosts_of_one_name_are_kept_apart_by_what_they_are_of() -> None:
    """Also where a node and a request have the same id."""
    s = stage(0, Operation.MATCH)
    s.after.requests.ids[:] = s.before.requests.ids[:] = s.after.nodes.ids[: len(s.after.requests)]
    with declared(age(Sort.NODE, 0), age(Sort.REQUEST, 100)) as ghosts:
        assert not ages(Sort.REQUEST, ghosts, s, 101)[-1].violations
        assert len(ages(Sort.NODE, ghosts, s, 2)[-1].violations) == len(s.after.nodes)


def test_what_a_ghost_starts_with_may_depend_on_settings() -> None:
    def make() -> Ghost:
        @ghost(Sort.NODE, "calls", initial=lambda n: ite(trait("tiered"), n.key_len, 0))
        def luck(n):
            """where it started"""
            return before(n).luck

        return luck

    tiered: set[bool] = set()
    with declared(make) as ghosts:

        @step(Family.SHAPE, Sort.NODE, on=list(Operation))
        def is_lucky(n):
            """It started with its length."""
            return n.luck == n.key_len

        for seed in range(20):
            s = stage(seed, Operation.MATCH)
            told = "tiered" in s.after.settings.traits
            assert bool(s.follow((is_lucky,), ghosts)[-1].violations) is (not told and len(s.after.nodes) > 1)
            tiered.add(told)
    assert tiered == {True, False}


def test_following_starts_anew_from_any_state() -> None:
    """A follower keeps nothing that another knows."""
    s = next(with_transfer())
    first: Draft = s.before
    follower = Follower(first.snapshot())
    call = Call(Operation.MATCH)
    for _ in range(3):
        assert not follower.follow(call, first.snapshot()).violations
    assert not Follower(legal(1).snapshot(), ghosts=GHOSTS).follow(call, legal(1).snapshot()).violations
