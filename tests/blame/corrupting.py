"""Reference caches with a fault at random work, and a snapshot at the first violation that a state shows."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sanitree.checker.hunt.moves import Chooser, Style
from sanitree.checker.hunt.play import Play
from sanitree.checker.live import InvariantViolated
from sanitree.checker.report import Report
from sanitree.checker.watch import Watch
from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import Component, Policy
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.setup import Setup
from sanitree.models.reference.errors import CacheError
from sanitree.models.snapshot import Snapshot

MOVES = 60
"""Of one life of a cache."""

SMALL = (3, 2)
"""Pages of host tiers that are soon full: then backups fail, and some faults show only there."""


@dataclass(frozen=True, eq=False)
class Corrupted:
    """report: of the state after `call`, the one that violates rules first. calls: how many there were by then."""

    fault: str
    setup: Setup
    seed: int
    report: Report
    call: Operation
    calls: int


def corrupted(
    fault: str,
    policy: Policy,
    components: tuple[Component, ...],
    seed: int,
    lives: int = 4,
    pages: int = 8,
    work: str | None = None,
    small: tuple[int, ...] = (),
) -> Corrupted | None:
    """The first state with something wrong in it; None where the fault cannot show, or did not in so many lives.

    work: a name for the workload; each fault has its own unless told otherwise. small: pages of host tiers to try
    where it does not show in one as large as the device's.
    """
    rng = Random(f"{work or fault} {policy.value} {[c.name for c in components]} {seed}")
    for host in (pages, *small):
        setup = Setup(
            policy=policy, components=components, device_pages=pages, host_pages=host, states=4, window=2, fault=fault
        )
        try:
            driver = open_driver("reference", setup)
            for _ in range(lives):
                if (found := _life(driver, rng)) is not None:
                    wrong = found.calls[-1]
                    return Corrupted(fault, setup, seed, found.report, wrong.operation, len(found.calls))
        except CacheError:
            return None
    return None


def _life(driver: Driver, rng: Random) -> InvariantViolated | None:
    play = Play(driver, watched=False)
    heard: list[InvariantViolated] = []
    watch = Watch(driver, heard.append)
    setup = driver.setup
    chooser = Chooser(rng, Style.eventful(setup) if rng.random() < 0.5 else Style.draw(rng, setup), setup)
    for _ in range(MOVES):
        for op in chooser.move(play.books):
            if play.can(op) and (not play.do(op) or heard):
                break
        watch.settle()
        if heard or play.wrong is not None:
            break
    of_states = (h for h in heard if any(not v.check.rule.on for v in h.report.violations))
    return next(of_states, None)


def healthy(policy: Policy, components: tuple[Component, ...], seed: int, moves: int = 25, pages: int = 8) -> Snapshot:
    """A state of a cache without a fault, after random work."""
    setup = Setup(policy=policy, components=components, device_pages=pages, host_pages=pages, states=4, window=2)
    rng = Random(f"{policy.value} {[c.name for c in components]} {seed}")
    play = Play(open_driver("reference", setup), watched=False)
    chooser = Chooser(rng, Style.eventful(setup), setup)
    for _ in range(moves):
        play.follow(chooser.move(play.books))
    assert play.wrong is None
    return play.driver.subject(content=True).snapshot(None)
