"""The page model follows live caches; what it cannot follow is told, shrunk, and done again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as File
from random import Random

import pytest

from sanitree.checker.hunt.moves import Chooser, Style
from sanitree.checker.hunt.play import Play
from sanitree.checker.hunt.wrong import Kind, Wrong
from sanitree.checker.lockstep.accepted import ACCEPTED, BY_ID, Met
from sanitree.checker.lockstep.follow import Followed, Position
from sanitree.checker.lockstep.lockstep import Lockstep, Tally, told
from sanitree.checker.lockstep.search import Difference
from sanitree.checker.lockstep.shown import Path, Shown
from sanitree.checker.replay import Answer, replay
from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, MAMBA, SWA, Component, Policy, Settings
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.operations import Copy, Evict, Finish, Poll, Release, Start
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import Found, Trace
from sanitree.models.engines.process import run_in_engine
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Call
from tests.engines_here import needs
from tests.hunt.campaign import SETS

ROOT = File(__file__).resolve().parents[2]
NEWEST = "0.5.23"


def serve(on: str, setup: Setup, seeds: range, moves: int = 25) -> tuple[Tally, list[Wrong]]:
    """Random work in lockstep: what was done, and what went wrong."""
    tally, wrong, driver = Tally(), [], open_driver(on, setup)
    for seed in seeds:
        play = Play(driver, lockstep=tally)
        chooser = Chooser(Random(seed), Style.eventful(setup), setup)
        for _ in range(moves):
            if not play.follow(chooser.move(play.books)):
                wrong.append(play.wrong)
                break
    return tally, [w for w in wrong if w is not None]


@pytest.mark.parametrize("page", [1, 4])
@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("components", SETS, ids=lambda cs: "+".join(c.name for c in cs))
def test_the_reference_cache_is_followed(policy: Policy, components: tuple[Component, ...], page: int) -> None:
    setup = Setup(policy=policy, components=components, page_size=page, window=2 * page, device_pages=8, host_pages=8)
    tally, wrong = serve("reference", setup, range(3))
    assert wrong == []
    assert tally.calls.total() > 100
    assert {"insert", "acquire", "release", "split"} <= set(tally.took)
    assert ("write_back" if policy is Policy.WRITE_BACK else "submit_write") in tally.took


def followed(setup: Setup, seeds: range, moves: int = 40) -> str:
    """Random work in lockstep and under no rule: the first thing that the model cannot do, or nothing."""
    driver = open_driver("reference", setup)
    for seed in seeds:
        play = Play(driver, watched=False)
        watch = Watched(driver)
        steps = Lockstep(watch.state(), setup)
        chooser = Chooser(Random(seed), Style.eventful(setup), setup)
        for _ in range(moves):
            going = play.follow(chooser.move(play.books))
            if (parted := watch.first(steps)) is not None:
                return told(parted)
            if not going:
                break
    return ""


TOLD = {
    "evict_does_not_wait": (Policy.WRITE_BACK, (FULL,)),
    "eviction_ignores_locks": (Policy.WRITE_THROUGH, (FULL,)),
    "insert_frees_the_prefix": (Policy.WRITE_THROUGH, (FULL,)),
    "split_forgets_the_pending_write": (Policy.WRITE_THROUGH, (FULL,)),
    "split_forgets_the_lock": (Policy.WRITE_THROUGH, (FULL,)),
    "split_moves_the_state": (Policy.WRITE_THROUGH, (FULL, MAMBA)),
    "tombstone_keeps_its_slots": (Policy.WRITE_THROUGH, (FULL, SWA)),
    "release_undoes_too_much": (Policy.WRITE_THROUGH, (FULL, SWA)),
    "backup_takes_no_lock": (Policy.WRITE_THROUGH, (FULL,)),
    "load_takes_no_lock": (Policy.WRITE_THROUGH, (FULL,)),
}


@pytest.mark.parametrize("fault", TOLD)
def test_a_cache_with_a_fault_parts_from_the_model(fault: str) -> None:
    policy, components = TOLD[fault]
    setup = Setup(policy=policy, components=components, device_pages=6, host_pages=6, fault=fault)
    assert "the page model cannot do" in followed(setup, range(4))
    assert followed(replace(setup, fault=None), range(4)) == ""


class Watched:
    """The calls on a cache with the state after each."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.calls: list[Call] = []
        self.seen: list[tuple[Call, Snapshot]] = []
        driver.listen(self._settle, self.calls.append)

    def state(self) -> Snapshot:
        return self.driver.subject(content=True).snapshot(None)

    def _settle(self) -> None:
        if self.calls:
            self.seen.append((self.calls.pop(), self.state()))

    def first(self, steps: Lockstep) -> Followed | None:
        """The first call that the model cannot follow, of those since the last time."""
        self._settle()
        seen, self.seen = self.seen, []
        return next((parted for call, state in seen if (parted := steps.see(call, state)) is not None), None)


def engine_run(on: str, core: str | None, policy: str, components: list[str]) -> dict[str, object]:
    """In an engine's process: what came of work in lockstep."""
    from sanitree.invariants.plugins import component

    setup = Setup(policy=Policy(policy), components=tuple(map(component, components)), core=core, device_pages=8,
                  host_pages=8)  # fmt: skip
    tally, wrong = serve(on, setup, range(3))
    return {"calls": tally.calls.total(), "took": dict(tally.took), "wrong": [w.text for w in wrong]}


@pytest.mark.parametrize(
    ("on", "core", "policy", "components"),
    [("0.5.13.post1", None, "write_through", ["full"]), (NEWEST, "python", "write_back", ["full", "mamba"])],
)
def test_real_engines_are_followed(on: str, core: str | None, policy: str, components: list[str]) -> None:
    needs(on)
    told = run_in_engine(
        on, "tests.lockstep.test_lockstep:engine_run",
        {"on": on, "core": core, "policy": policy, "components": components}, search=[ROOT],
    )  # fmt: skip
    assert told["wrong"] == []
    assert told["calls"] > 150


WITH_WINDOW = Setup(policy=Policy.WRITE_BACK, components=(FULL, SWA), page_size=1, device_pages=4, host_pages=3,
                    states=3, window=2)  # fmt: skip
"""With a window, or with state in its place."""

EXPLAINED = {
    "a node is split that loads its state alone, whose bytes have arrived": (
        NEWEST, replace(WITH_WINDOW, policy=Policy.WRITE_THROUGH, components=(FULL, MAMBA), host_pages=2, states=2,
                        core="python"),
        [Start((1, 1)), Finish(0), Release(0, False), Start((1, 1, 1, 1)), Finish(0), Copy(0), Poll(), Release(0, True),
         Start((1, 1, 1)), Copy(0), Start((1, 1))],
    ),
    "an insert writes ancestors that are not on the host": (
        "0.5.21", replace(WITH_WINDOW, core="python"),
        [Start((1, 1, 1, 1)), Finish(0), Release(0, False), Start((1, 1, 1)), Finish(0)],
    ),
    "a write is locked over a page without its window, which comes back": (
        "0.5.18", replace(WITH_WINDOW, policy=Policy.WRITE_THROUGH_SELECTIVE, host_pages=1),
        [Start((1, 1, 1)), Finish(0), Start((1, 1, 1, 1)), Release(0, False), Evict("swa", 1), Finish(0),
         Release(0, False), Start((1,)), Finish(0), Copy(0), Poll()],
    ),
}  # fmt: skip


@pytest.mark.engine
@pytest.mark.parametrize("name", EXPLAINED)
def test_what_engines_do_besides_is_followed(name: str) -> None:
    on, setup, operations = EXPLAINED[name]
    needs(on)
    told = replay(Trace.of(setup, operations, [], on), on, lockstep=True)
    assert told.wrong is None, told.wrong
    assert told.done == len(operations)


@pytest.mark.engine
def test_what_comes_of_a_known_bug_is_known_and_still_told_to_who_looks_for_it() -> None:
    needs("0.5.13.post1")
    setup = replace(WITH_WINDOW, device_pages=3, host_pages=1, window=1)
    operations = [Start((1, 2)), Finish(0), Release(0, False), Start((2, 1, 1, 1)), Start((1, 2, 1)), Finish(0),
                  Release(0, False), Start((1,)), Finish(0), Start((1, 2, 1, 1))]  # fmt: skip
    found = Found("rule", ("one_writer_a_slot",), "", "", "")
    told = replay(Trace.of(setup, operations, [], "0.5.13.post1", found), "0.5.13.post1")
    assert told.answer is Answer.REPRODUCED, told.reason
    first = replay(Trace.of(setup, operations, [], "0.5.13.post1"), "0.5.13.post1")
    assert first.wrong is not None and first.wrong.names == ("target_is_not_free",)


def met(
    operation: Operation, difference: Difference, before: Shown, after: Shown, policy: Policy = Policy.WRITE_BACK,
    gaps: frozenset[Path] = frozenset(),
) -> tuple[Met, Difference]:  # fmt: skip
    """A call of a cache with a window after which one thing differs."""
    settings = Settings(policy, (FULL, SWA), frozenset({"tiered"}), 1)
    followed = Followed(Call(operation), (), (difference,))
    at = [Position({}, before, gaps=gaps), Position({}, after)]
    return Met(settings, followed, *at, {key: i for i, key in enumerate(KEYS)}), difference


KEYS = (Key("cut"), Key.of("present", FULL, DEVICE), Key.of("present", SWA, DEVICE))
"""What is seen of a page, below."""

A, AB, ABC = (((1,),), ((1,), (2,)), ((1,), (2,), (3,)))


def seen(pages: dict[Path, tuple[int, int, int]], flights: dict[tuple[bool, int], Path] | None = None) -> Shown:
    return Shown(pages, {}, {}, flights or {}, frozenset())


def test_a_leaf_alone_loses_its_auxiliary_data() -> None:
    """Pages of a node begin it where they are cut; below a leaf nothing is on the device."""
    gone = {path: Difference(path, Key.of("present", SWA, DEVICE), 1, 0) for path in (A, AB, ABC)}
    leaf = seen({A: (1, 1, 0), AB: (0, 1, 0)})
    inner = seen({A: (1, 1, 0), AB: (0, 1, 0), ABC: (1, 1, 1)})
    covers = BY_ID["leaf-loses-auxiliary-data-alone"].covers
    for shown, path, accepted in ((leaf, A, True), (leaf, AB, True), (inner, A, False), (inner, AB, False)):
        assert covers(*met(Operation.EVICT, gone[path], shown, shown)) is accepted, (shown, path)
    assert covers(*met(Operation.EVICT, gone[ABC], inner, inner))


def test_host_copies_are_accepted_on_the_way_to_a_write_alone() -> None:
    covers = BY_ID["window-written-at-an-insert"].covers
    new = Difference(A, Key.of("present", FULL, HOST), 0, 1)
    pages = {A: (1, 1, 1), AB: (1, 1, 1)}
    assert covers(*met(Operation.INSERT, new, seen(pages), seen(pages, {(True, 1): AB})))
    assert not covers(*met(Operation.INSERT, new, seen(pages), seen(pages)))
    assert not covers(*met(Operation.INSERT, new, seen(pages), seen(pages, {(False, 1): AB})))
    gone = Difference(A, Key.of("present", SWA, DEVICE), 1, 0)
    assert covers(*met(Operation.EVICT, gone, seen(pages, {(True, 1): AB}), seen(pages)))
    assert not covers(*met(Operation.EVICT, gone, seen(pages), seen(pages)))


def test_a_lock_that_was_never_taken_is_accepted_at_the_acknowledgement_alone() -> None:
    covers = BY_ID["write-locks-no-tombstone"].covers
    pages, through = seen({A: (1, 1, 1)}), Policy.WRITE_THROUGH
    lock, gaps = Key.of("lock", SWA, DEVICE), frozenset({A})
    less, more = Difference(A, lock, 0, 1), Difference(A, lock, 2, 1)
    assert covers(*met(Operation.POLL_WRITES, less, pages, pages, through, gaps))
    assert not covers(*met(Operation.POLL_WRITES, less, pages, pages, through))
    assert not covers(*met(Operation.POLL_WRITES, more, pages, pages, through, gaps))
    assert not covers(*met(Operation.INSERT, less, pages, pages, through, gaps))


def test_accepted_differences_have_reasons_and_names_of_their_own() -> None:
    assert len({a.id for a in ACCEPTED}) == len(ACCEPTED)
    assert all(len(a.why) > 60 for a in ACCEPTED)


def test_a_divergence_in_a_trace_is_looked_for_again() -> None:
    found = Found("divergence", ("evict", "present.full.device"), "", "evict", "")
    setup = Setup(device_pages=8, host_pages=8)
    trace = Trace.of(setup, [Start((1,)), Finish(0), Release(0), Poll(), Evict("full", 1)], [], "reference", found)
    told = replay(trace, "reference")
    assert told.answer is Answer.GONE
    assert replay(replace(trace, found=None), "reference", lockstep=True).answer is not Answer.CANNOT_RUN
    assert Kind(found.kind) is Kind.DIVERGENCE
