"""Where a process hunts: its drivers, its budget, and what it has sighted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sanitree.checker.hunt.both import open_both
from sanitree.checker.hunt.play import Play
from sanitree.checker.hunt.wrong import Kind, Sighting
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.operations import NAMES, Operation
from sanitree.models.driving.setup import Setup
from sanitree.models.engines.errors import EngineError
from sanitree.models.reference.errors import CacheError

DRIVERS = 32
"""Caches of other sizes that are kept."""


@dataclass(slots=True)
class Lab:
    """on, setup: what is hunted in. sighted: hears of each new thing that goes wrong, once. own_check: whether the
    cache's own check is asked after each operation. operations: done so far, of each kind; replayed: those done to
    shrink. known: how often each thing went wrong."""

    on: str
    setup: Setup
    sighted: Callable[[Sighting], None]
    own_check: bool = True
    operations: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    known: Counter[tuple[str, ...]] = field(default_factory=Counter)
    _drivers: dict[Setup, Driver] = field(default_factory=dict)

    def driver(self, setup: Setup) -> Driver:
        """The driver of a setup; made when first asked for."""
        if setup not in self._drivers:
            if len(self._drivers) >= DRIVERS:
                del self._drivers[next(iter(self._drivers))]
            self._drivers[setup] = open_both(self.on, setup) if setup.core == "both" else open_driver(self.on, setup)
        return self._drivers[setup]

    def play(self, setup: Setup, operations: Sequence[Operation] = (), judged: bool = True) -> Play | None:
        """A cache after operations that were judged before, judged from there on; None where it fails on the way."""
        play = Play(self.driver(setup), watched=False, own_check=False)
        if operations and not play.follow(operations):
            self.over(play)
            return None
        if judged:
            play.watch(self.own_check)
        return play

    def replay(self, kind: Kind, setup: Setup, operations: Sequence[Operation]) -> Sighting | None:
        """The first thing of a kind that goes wrong when operations are done on a fresh cache, those that can be."""
        try:
            play = Play(self.driver(setup), own_check=kind is Kind.COMPLAINT)
        except (CacheError, EngineError):
            return None  # no such cache can be built
        for op in operations:
            if play.complaints or not play.follow([op]):
                break
        if kind is Kind.LEAK and play.wrong is None:
            play.end()
        self.replayed += len(play.done)
        wrong = play.complaints[0] if play.complaints else play.wrong
        return None if wrong is None else Sighting(setup, tuple(play.done), wrong)

    def over(self, play: Play) -> None:
        """Enters what a play has done, and tells what went wrong."""
        self.operations.update(NAMES[type(op)] for op in play.done)
        for wrong in (play.wrong, *play.complaints):
            if wrong is None:
                continue
            self.known[wrong.key] += 1
            if self.known[wrong.key] == 1:
                self.sighted(Sighting(play.driver.setup, tuple(play.done), wrong))
