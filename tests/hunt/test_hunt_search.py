"""A hunt finds faults of the reference cache, makes what it finds small, and says when it cannot be sure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from sanitree.checker.hunt.both import Both, differences
from sanitree.checker.hunt.confirm import LATER, SAME, SILENT, Confirmed, confirm
from sanitree.checker.hunt.coverage import Coverage
from sanitree.checker.hunt.exhaustive import Depths, exhaustive
from sanitree.checker.hunt.hunt import Hunt, hunt, together
from sanitree.checker.hunt.lab import Lab
from sanitree.checker.hunt.play import Play
from sanitree.checker.hunt.search import Failed, Progress, Sighted, Task, search
from sanitree.checker.hunt.shrink import measure, shrink
from sanitree.checker.hunt.told import verdict
from sanitree.checker.hunt.wrong import Kind, Sighting, Wrong
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Policy
from sanitree.models.driving.operations import Copy, Evict, Finish, Lock, Match, Operation, Poll, Release, Start
from sanitree.models.driving.reference import ReferenceDriver
from sanitree.models.driving.setup import Setup
from sanitree.models.snapshot import Snapshot

WRITE_BACK = Setup(policy=Policy.WRITE_BACK)


def served(*prompt: int) -> tuple[Operation, ...]:
    return Start(prompt), Finish(0), Release(0)


def hunted(setup: Setup, most: int = 1500, seed: int = 0, **more: bool) -> tuple[list[Sighted], Progress]:
    """What one process finds in so many operations."""
    told: list[object] = []
    search(Task("reference", setup, seed, 300.0, most=most, **more), told.append)
    last = told[-1]
    assert isinstance(last, Progress) and last.done
    return [x for x in told if isinstance(x, Sighted)], last


@pytest.mark.parametrize(
    ("setup", "rule", "operations"),
    [
        (replace(WRITE_BACK, fault="evict_does_not_wait"), "pending_write_keeps_its_source", 4),
        (Setup(fault="duplicates_leak"), "no_slot_leaks", 5),
        (Setup(fault="split_forgets_the_lock"), "path_lock_covers_children", 4),
        (Setup(fault="ack_forgets_the_marks"), "pending_write_is_locked", 5),
        (Setup(fault="query_counts_hits"), "query_removes_no_node", 4),
        (Setup(components=(FULL, SWA), fault="demoted_copy_is_in_no_list"), "host_lru_misses_none", 6),
        (Setup(components=(FULL, MAMBA), fault="split_moves_the_state"), "copy_holds_its_own_bytes", 4),
    ],
    ids=lambda x: x.fault if isinstance(x, Setup) else None,
)
def test_faults_are_found_and_shrunk(setup: Setup, rule: str, operations: int) -> None:
    found, _ = hunted(setup, stop_at_first=True, own_check=False)
    assert found, "not found"
    shrunk = found[0].shrunk
    assert shrunk.wrong.kind is Kind.RULE and rule in shrunk.wrong.names
    assert len(shrunk.operations) <= operations, shrunk.operations
    assert measure(shrunk) <= measure(found[0].first)


@pytest.mark.parametrize("setup", [Setup(), WRITE_BACK, Setup(components=(FULL, SWA), page_size=2)], ids=str)
def test_nothing_is_found_where_nothing_is_wrong(setup: Setup) -> None:
    found, progress = hunted(setup, 400)
    assert not found
    assert sum(progress.operations.values()) >= 400
    assert progress.states > 50


def test_a_seed_repeats_a_hunt() -> None:
    one, other = (hunted(Setup(fault="duplicates_leak"), stop_at_first=True, shrinks=False, seed=3)[0] for _ in "12")
    assert one[0].first == other[0].first and one[0].after == other[0].after
    assert one[0].first != hunted(Setup(fault="duplicates_leak"), stop_at_first=True, shrinks=False, seed=4)[0][0].first


def test_a_complaint_without_a_rule_is_a_finding() -> None:
    found, _ = hunted(replace(WRITE_BACK, fault="check_demands_backed_up_parents"), stop_at_first=True)
    wrong = found[0].shrunk.wrong
    assert wrong.kind is Kind.COMPLAINT and "backup_is_prefix_closed" in wrong.text


class Counted(ReferenceDriver):
    """A cache whose third match does something that it should not."""

    def __init__(self, setup: Setup, then: Callable[[ReferenceDriver], None]) -> None:
        self._then = then
        super().__init__(setup)

    def fresh(self) -> None:
        super().fresh()
        match, seen = self.cache.match_prefix, [0]

        def third(tokens: Sequence[int]) -> object:
            seen[0] += 1
            if seen[0] == 3:
                self._then(self)
            return match(tokens)

        self.cache.match_prefix = third  # type: ignore[assignment,method-assign]


def fails(driver: ReferenceDriver) -> None:
    raise RuntimeError("the third")


def test_an_exception_out_of_the_cache_is_a_finding_with_its_place() -> None:
    play = Play(Counted(Setup(), fails))
    assert play.follow([Match((1,)), Match((1,))])
    assert not play.follow([Start((1,))])
    assert play.wrong is not None
    assert (play.wrong.kind, play.wrong.names) == (Kind.EXCEPTION, ("RuntimeError",))
    assert play.wrong.place == "serving.py: start"


def test_what_is_left_when_all_is_evicted_is_a_leak() -> None:
    """A slot that somebody took, of whom no book tells."""

    def loses(driver: ReferenceDriver) -> None:
        driver.cache.device_pools[0].alloc(1)

    play = Play(Counted(Setup(), loses), watched=False)
    assert play.follow([*served(1), Match((1,)), Match((2,))])
    assert not play.end()
    assert play.wrong is not None
    assert (play.wrong.kind, play.wrong.names) == (Kind.LEAK, ("full.device",))
    sound = Play(Counted(Setup(), lambda driver: None), watched=False)
    assert sound.follow([*served(1), Lock((1,)), Start((1, 2)), Evict("full", 1)])
    assert sound.end()


def test_two_that_differ_are_told_apart() -> None:
    plain, other = ReferenceDriver(WRITE_BACK), ReferenceDriver(replace(WRITE_BACK, fault="evict_does_not_wait"))
    operations = [*served(1, 2), *served(1, 2, 3), Evict("full", 1)]
    same = Play(Both(plain, ReferenceDriver(WRITE_BACK)))
    assert same.follow([*operations, Copy(0), Poll()])
    play = Play(Both(plain, other))
    assert not play.follow(operations)
    assert play.wrong is not None and play.wrong.kind is Kind.DIFFERENCE
    assert "transfer" in " ".join(play.wrong.names)


def test_names_are_no_difference() -> None:
    one, other = ReferenceDriver(Setup()), ReferenceDriver(Setup())
    for op in (*served(7), Evict("full", 1)):
        other.do(op)
    for driver in (one, other):
        driver.settle()
    other.cache.reset()
    for op in served(1, 2):
        one.do(op)
        other.do(op)
    states = [d.subject().snapshot(None) for d in (one, other)]
    assert [name for name, _, _ in differences(states[0], states[1])] == []


def test_what_nothing_tells_apart_is_compared_as_a_whole() -> None:
    """Two leaves that are alike but for a lock, where tokens are not known: which is which is no difference."""
    drivers = [ReferenceDriver(WRITE_BACK) for _ in range(3)]
    for driver, locked in zip(drivers, ((1, 2), (1, 3), ()), strict=True):
        for op in (*served(1, 2), *served(1, 3), *([Lock(locked)] if locked else [])):
            driver.do(op)
    one, same, other = (d.subject().snapshot(None) for d in drivers)

    def unnamed(s: Snapshot) -> list[tuple[tuple[int, ...], int]]:
        return [((), row) for row in range(len(s.nodes))]

    assert "node.lock.full.device" in {name for name, _, _ in differences(one, same)}
    assert [name for name, _, _ in differences(one, same, unnamed)] == []
    assert "node.lock.full.device" in {name for name, _, _ in differences(one, other, unnamed)}


RULE = Wrong(Kind.RULE, ("pending_write_keeps_its_source",))


def test_everything_within_two_moves_is_this_many_states() -> None:
    """The oracle of the exhaustive search: change it only with a reason."""
    lab, depths = Lab("reference", WRITE_BACK, lambda _: None, own_check=False), Depths()
    counts = []
    for _ in exhaustive(lab, Coverage(), depths, deepest=2, longest=2):
        if depths.complete > len(counts):
            counts.append(depths.states)
    assert not lab.known
    assert [*counts, depths.states] == [8, 78]  # when nodes were used is known, so a look-up in vain is no state


def test_shrinking_keeps_what_was_wrong() -> None:
    """Never a smaller run that violates something else."""
    lab = Lab("reference", replace(WRITE_BACK, fault="evict_does_not_wait"), lambda _: None)
    operations = (*served(1, 2), Match((3,)), *served(1, 2, 3, 4), Lock((1,)), Evict("full", 3), Match((1, 2)))
    first = lab.replay(RULE, lab.setup, operations)
    assert first is not None and first.operations[-1] == Evict("full", 3)
    shrunk = shrink(first, lambda s, ops: lab.replay(RULE, s, ops))
    assert shrunk.wrong.shows(first.wrong)
    assert len(shrunk.operations) <= 4
    assert shrunk.setup.device_pages < lab.setup.device_pages


def confirmed(sighting: Sighting) -> Confirmed:
    told: list[Confirmed] = []
    confirm("reference", [sighting], told.append)
    return told[0]


def test_confirming_asks_the_own_check() -> None:
    fault = replace(WRITE_BACK, fault="evict_does_not_wait")
    lab = Lab("reference", fault, lambda _: None)
    found = lab.replay(RULE, fault, [*served(1), Evict("full", 1)])
    assert found is not None
    again = confirmed(found)
    assert again.wrong is not None and again.wrong.shows(found.wrong)
    assert again.own in (SAME, LATER)
    assert len(again.results) == 4
    progress = Lab("reference", Setup(fault="eviction_says_too_much"), lambda _: None)
    said = progress.replay(
        Wrong(Kind.RULE, ("eviction_says_what_it_freed",)),
        progress.setup,
        [*served(1), Copy(0), Poll(), Evict("full", 1)],
    )
    assert said is not None and confirmed(said).own == SILENT  # a state rule sees nothing of it


def test_what_does_not_happen_again_is_not_confirmed() -> None:
    """As a fault that only shows now and then: the same operations, and nothing."""
    wrong = Wrong(Kind.RULE, ("source_is_not_free",))
    sighted = Sighted(*[Sighting(WRITE_BACK, (*served(1), Evict("full", 1)), wrong)] * 2, 12, 0.1)
    (finding,) = together([sighted])
    h = Hunt("reference", WRITE_BACK, findings=(replace(finding, confirmed=confirmed(sighted.shrunk)),))
    assert not h.findings[0].is_confirmed
    assert verdict(h) == "inconclusive"


def test_sightings_of_one_thing_are_one_finding() -> None:
    short, long = (*served(1), Evict("full", 1)), (*served(1, 2), Evict("full", 1))
    rule = Wrong(Kind.RULE, ("a", "b"))
    other = Wrong(Kind.EXCEPTION, ("AssertionError",), "x.py: f")
    sighted = [
        Sighted(Sighting(Setup(), ops, w), Sighting(Setup(), ops, w), after, after / 10)
        for ops, w, after in (
            (long, rule, 3), (short, rule, 8), (long, Wrong(Kind.RULE, ("b", "a")), 9), (short, other, 5),
        )
    ]  # fmt: skip
    found = together(sighted)
    assert [(f.wrong, f.sighting.operations, f.after) for f in found] == [(rule, short, 3), (other, short, 5)]
    assert [w.names for w in found[0].also] == [("b", "a")]


def test_processes_hunt_together() -> None:
    told: list[int] = []
    h = hunt(
        "reference", replace(WRITE_BACK, fault="evict_does_not_wait"), 3.0, jobs=2,
        tell=lambda h: told.append(h.operations.total()),
    )  # fmt: skip
    assert verdict(h) == "violated" and h.findings[0].is_confirmed
    assert len(h.progress) == 2 and told[-1] == h.operations.total() > 0
    assert h.findings[0].trace("reference").found is not None


def test_a_process_that_cannot_work_says_why() -> None:
    h = hunt("reference", Setup(components=(FULL,), fault="no such fault"), 1.0, jobs=1)
    assert verdict(h) == "failed" and "no such fault" in h.failures[0]
    assert isinstance(Failed("x"), Failed)
