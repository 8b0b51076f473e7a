"""Where a process hunts: its drivers, its budget, and what it has sighted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sanitree.checker.hunt.known import Overlook, known, overlooking
from sanitree.checker.hunt.opening import opened
from sanitree.checker.hunt.play import Play
from sanitree.checker.hunt.wrong import Kind, Sighting, Wrong
from sanitree.checker.lockstep.lockstep import Tally as Steps
from sanitree.checker.tally import Tally
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.operations import NAMES, Operation
from sanitree.models.driving.setup import Setup
from sanitree.models.engines.errors import EngineError
from sanitree.models.reference.errors import CacheError

DRIVERS = 32
"""Caches of other sizes that are kept."""


@dataclass(slots=True)
class Lab:
    """on, setup: what is hunted in. sighted: hears of each new thing that goes wrong, once. own_check: whether the
    cache's own check is asked after each operation. operations: done so far, of each kind; judged: those done under
    watch, replayed: those done to shrink. known: how often each thing went wrong. tally: how often each rule was put
    to the test. What is a known finding is sighted once and gone past. lockstep: whether the page model follows what is
    judged; steps: what came of that."""

    on: str
    setup: Setup
    sighted: Callable[[Sighting], None]
    own_check: bool = True
    operations: Counter[str] = field(default_factory=Counter)
    judged: int = 0
    replayed: int = 0
    tally: Tally = field(default_factory=Tally)
    known: Counter[tuple[str, ...]] = field(default_factory=Counter)
    lockstep: bool = False
    steps: Steps = field(default_factory=Steps)
    _drivers: dict[Setup, Driver] = field(default_factory=dict)

    def driver(self, setup: Setup) -> Driver:
        """The driver of a setup; made when first asked for."""
        if setup not in self._drivers:
            if len(self._drivers) >= DRIVERS:
                del self._drivers[next(iter(self._drivers))]
            self._drivers[setup] = opened(self.on, setup)
        return self._drivers[setup]

    def play(self, setup: Setup, operations: Sequence[Operation] = (), judged: bool = True) -> Play | None:
        """A cache after operations that were judged before, judged from there on; None where it fails on the way."""
        steps = self.steps if self.lockstep else None
        play = Play(self.driver(setup), False, False, overlooking(self.on, setup), self.tally, steps)
        early = judged and self.lockstep  # the model has to see how it came about
        if early:
            play.watch(self.own_check)
        if operations and not play.follow(operations):
            self.over(play)
            return None
        play.judged = 0
        if judged and not early:
            play.watch(self.own_check)
        return play

    def replay(self, wanted: Wrong, setup: Setup, operations: Sequence[Operation]) -> Sighting | None:
        """What goes wrong when operations are done on a fresh cache, those that can be: the first thing that is not
        known, or that is of the kind of what is wanted."""
        try:
            play = play_for(self.driver(setup), wanted, overlooking(self.on, setup, wanted))
        except (CacheError, EngineError):
            return None  # no such cache can be built
        wrong = again(play, operations, wanted)
        self.replayed += len(play.done)
        return None if wrong is None else Sighting(setup, tuple(play.done), wrong)

    def over(self, play: Play) -> None:
        """Enters what a play has done, and tells what went wrong."""
        self.operations.update(NAMES[type(op)] for op in play.done)
        self.judged += play.judged
        for wrong, done in [*play.met, *([] if play.wrong is None else [(play.wrong, len(play.done))])]:
            ids = tuple(f.id for f in known(self.on, play.driver.setup, wrong))
            key = ("known", *ids) if ids else wrong.key
            self.known[key] += 1
            if self.known[key] == 1:
                self.sighted(Sighting(play.driver.setup, tuple(play.done[:done]), wrong))


def play_for(driver: Driver, wanted: Wrong | None, overlook: Overlook, lockstep: bool = False) -> Play:
    """A cache under every rule, and under whatever else it takes to see what is wanted again."""
    kind = None if wanted is None else wanted.kind
    steps = Steps() if lockstep or kind is Kind.DIVERGENCE else None
    return Play(driver, True, kind is Kind.COMPLAINT, overlook, lockstep=steps)


def again(play: Play, operations: Sequence[Operation], wanted: Wrong) -> Wrong | None:
    """Does operations, those that can be done, until what is wanted goes wrong, or anything that ends it."""
    for op in operations:
        if play.can(op):
            play.do(op)
        if (found := next((w for w, _ in play.met if w.shows(wanted)), play.wrong)) is not None:
            return found
    if wanted.kind is Kind.LEAK:
        play.end()
    return play.wrong
