"""Ranks of the reference cache agree; each planted fault of one rank is found first by the rule that must."""

from __future__ import annotations

import pytest

from sanitree.checker.agreement import AGREEMENT
from sanitree.checker.hunt.books import Books
from sanitree.checker.hunt.moves import every_move
from sanitree.checker.hunt.opening import opened
from sanitree.checker.hunt.ranks import DisagreementError, Ranks
from sanitree.checker.hunt.search import Event, Progress, Sighted, Task, search
from sanitree.checker.hunt.wrong import Kind
from sanitree.checker.replay import Answer, replay_here
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.driving.operations import (
    Copy,
    CopyAt,
    Evict,
    Finish,
    LoadBack,
    Match,
    Operation,
    Poll,
    Release,
    Start,
)
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import Trace, decode, encode
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.faults import RANK_FAULTS

SERVE = (Start((1, 2)), Finish(0), Release(0))


def ranks(fault: str | None = None, count: int = 2, **more: object) -> Ranks:
    driver = opened("reference", Setup(fault=fault, ranks=count, **more))  # type: ignore[arg-type]
    assert isinstance(driver, Ranks)
    return driver


def told(driver: Ranks, *operations: Operation) -> tuple[str, ...]:
    """The rules that the last operation breaks, no other breaking any."""
    for op in operations[:-1]:
        assert driver.can(op)
        driver.do(op)
    with pytest.raises(DisagreementError) as error:
        driver.do(operations[-1])
    assert all(
        line.startswith(name) for name, line in zip(error.value.names, str(error.value).split("\n"), strict=True)
    )
    return error.value.names


def hunted(setup: Setup, most: int) -> list[Event]:
    events: list[Event] = []
    search(Task("reference", setup, 3, 600.0, 0.0, most, stop_at_first=True), events.append)
    return events


@pytest.mark.parametrize("fault", RANK_FAULTS.values(), ids=lambda f: f.name)
def test_a_hunt_finds_it_and_the_trace_shows_it_again(fault) -> None:  # type: ignore[no-untyped-def]
    setup = Setup(ranks=2, fault=fault.name)
    (sighted,) = [e for e in hunted(setup, 2000) if isinstance(e, Sighted)]
    s = sighted.shrunk
    assert s.wrong.kind is Kind.AGREEMENT and s.wrong.names[0] == fault.rule
    trace = decode(encode(sighted_trace(s.setup, s.operations, s.wrong.names)))
    assert trace.setup.ranks == 2
    assert replay_here(trace, "reference").answer is Answer.REPRODUCED


def sighted_trace(setup: Setup, operations: tuple[Operation, ...], names: tuple[str, ...]) -> Trace:
    from sanitree.models.driving.trace import Found

    return Trace.of(setup, operations, (), "reference", Found("agreement", names))


def test_each_rule_has_a_fault_that_it_finds_first() -> None:
    assert {f.rule for f in RANK_FAULTS.values()} == {rule.id for rule in AGREEMENT}


@pytest.mark.parametrize("components", [(FULL,), (FULL, SWA), (FULL, MAMBA)], ids=lambda c: "+".join(x.name for x in c))
@pytest.mark.parametrize("policy", Policy, ids=lambda p: p.value)
def test_without_a_fault_nothing_is_found(policy: Policy, components: tuple[Component, ...]) -> None:
    events = hunted(Setup(ranks=2, policy=policy, components=components), 150)
    assert not [e for e in events if isinstance(e, Sighted)]
    assert [sum(e.operations.values()) for e in events if isinstance(e, Progress)][-1] >= 150


def test_every_rank_has_its_copies_land_alone() -> None:
    assert {op for move in every_move(Books(flying=1), Setup(ranks=2)) for op in move if isinstance(op, CopyAt)} == {
        CopyAt(0, 0), CopyAt(1, 0),
    }  # fmt: skip
    assert not any(isinstance(op, CopyAt) for move in every_move(Books(flying=1), Setup()) for op in move)


def test_acknowledgements_wait_for_the_slowest() -> None:
    driver = ranks(count=3)
    for op in (*SERVE, CopyAt(0, 0), CopyAt(2, 0)):
        driver.do(op)
    assert driver.do(Poll()) == "0 writes and 0 loads acknowledged"
    assert driver.hidden().landed and driver.hidden().elsewhere == ((0, 0), (1, 0))
    driver.do(CopyAt(1, 0))
    assert driver.do(Poll()) == "1 writes and 0 loads acknowledged"
    assert not driver.can(CopyAt(3, 0)) and not driver.can(Poll())


def test_a_rank_that_waits_alone_breaks_that_rule_only() -> None:
    driver = ranks("rank_skips_the_collective")
    assert told(driver, *SERVE, CopyAt(0, 0), Poll()) == ("same_collectives",)


def test_a_rank_that_takes_its_own_acks_breaks_three() -> None:
    driver = ranks("rank_takes_its_own_acks")
    assert told(driver, *SERVE, CopyAt(1, 0), Poll()) == ("same_acks", "same_decisions", "same_tree")


def test_an_allocation_that_fails_on_one_rank_alone() -> None:
    assert told(ranks("rank_has_no_room_on_the_host"), *SERVE[:2]) == ("same_decisions", "same_tree")


def test_a_match_that_differs_is_a_decision_and_changes_no_tree() -> None:
    driver = ranks("rank_matches_on_the_device_alone")
    assert told(driver, *SERVE, Copy(0), Poll(), Evict("full", 2), Match((1, 2))) == ("same_decisions",)


def test_an_order_of_use_that_differs_is_a_tree_that_differs() -> None:
    assert told(ranks("rank_forgets_what_is_used"), *SERVE, Start((3,)), Finish(0)) == ("same_tree",)


def test_a_dump_has_a_state_of_each_rank() -> None:
    driver = ranks(count=3)
    for op in (*SERVE, Copy(0), Poll(), Evict("full", 2), LoadBack((1, 2))):
        driver.do(op)
    assert len(driver.states()) == 3


def test_a_fault_of_one_rank_needs_others() -> None:
    with pytest.raises(CacheError, match="is alone"):
        opened("reference", Setup(fault="rank_takes_its_own_acks"))


def test_a_trace_of_one_cache_says_nothing_of_ranks() -> None:
    assert "ranks" not in encode(Trace.of(Setup(), SERVE)) and decode(encode(Trace.of(Setup(), SERVE))).setup.ranks == 1
