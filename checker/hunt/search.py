"""The hunt of one process: exhaustive and guided search take turns, what they sight is shrunk at once."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from sanitree.checker.hunt.coverage import Coverage
from sanitree.checker.hunt.exhaustive import Depths, exhaustive
from sanitree.checker.hunt.guided import guided
from sanitree.checker.hunt.lab import Lab
from sanitree.checker.hunt.shrink import shrink
from sanitree.checker.hunt.wrong import Sighting
from sanitree.models.driving.setup import Setup

SHRINKING = 15.0
"""Seconds for each finding at most, beyond the budget if need be."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one process is to do.

    on: "reference" or an engine's version. seconds: from when the first cache is open.
    share: of its operations that exhaustive search has. most: operations after which it
    ends, for repeatable runs; None is no limit.
    """

    on: str
    setup: Setup
    seed: int
    seconds: float
    share: float = 0.15
    most: int | None = None
    stop_at_first: bool = False
    own_check: bool = True
    shrinks: bool = True
    shrinks_known: bool = True
    lockstep: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one process is.

    seconds: spent on searching. judged: of the operations, those that were done under every rule; the others lead to
    where they go on. seen: states and steps that were judged. tested: instances that put a rule to the test, in one
    state or step of `tally.EVERY`, and 0 for a rule that was asked and never put to the test. depth: moves from the
    empty cache that were exhausted. followed: in lockstep.
    """

    seconds: float
    operations: dict[str, int]
    judged: int
    replayed: int
    seen: dict[str, int]
    tested: dict[str, int]
    states: int
    situations: int
    depth: int
    followed: Followed | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Followed:
    """What the page model followed: calls, actions of its own by name, differences that are accepted, by their names.
    unseen: calls whose states were not observed."""

    calls: dict[str, int]
    took: dict[str, int]
    accepted: dict[str, int]
    unseen: int


@dataclass(frozen=True, slots=True)
class Sighted:
    """What a process has found. after: operations that it had done by then. seconds: the same in time."""

    first: Sighting
    shrunk: Sighting
    after: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A process that cannot go on, for a reason of ours."""

    why: str


Event = Progress | Sighted | Failed


@dataclass(slots=True)
class _Search:
    task: Task
    tell: Callable[[Event], None]
    coverage: Coverage = field(default_factory=Coverage)
    depths: Depths = field(default_factory=Depths)
    waiting: list[Sighting] = field(default_factory=list)
    told: float = 0.0

    def run(self) -> None:
        task, rng = self.task, Random(self.task.seed)  # noqa: S311  repeatable, not secret
        lab = Lab(task.on, task.setup, self.waiting.append, task.own_check, lockstep=task.lockstep)
        lab.driver(task.setup)
        gc.freeze()  # an engine brings millions of objects, which would be looked through again and again
        begun = time.monotonic()
        turns = _turns(lab, exhaustive(lab, self.coverage, self.depths), guided(lab, rng, self.coverage), task.share)
        for _ in turns:
            spent = time.monotonic() - begun
            found = self._shrunk(lab, spent)
            over = spent >= task.seconds or (task.most is not None and lab.operations.total() >= task.most)
            if over or (found and task.stop_at_first):
                break
            if spent - self.told > 0.5:
                self.told = spent
                self.tell(self._progress(lab, spent))
        self.tell(self._progress(lab, time.monotonic() - begun, done=True))

    def _shrunk(self, lab: Lab, spent: float) -> bool:
        found = bool(self.waiting)
        for first in self.waiting:
            shrunk = shrink(first, partial(lab.replay, first.wrong), seconds=SHRINKING) if self.task.shrinks else first
            self.tell(Sighted(first, shrunk, lab.operations.total(), spent))
        self.waiting.clear()
        return found

    def _progress(self, lab: Lab, spent: float, done: bool = False) -> Progress:
        met, tally = self.coverage, lab.tally
        tested = {name: tally.counts[name] for name in sorted(tally.asked)}
        return Progress(
            spent, dict(lab.operations), lab.judged, lab.replayed, dict(tally.judged), tested, len(met.states),
            len(met.situations), self.depths.complete, _followed(lab), done,
        )  # fmt: skip


def _followed(lab: Lab) -> Followed | None:
    s = lab.steps
    return Followed(dict(s.calls), dict(s.took), dict(s.accepted), s.unseen) if lab.lockstep else None


def search(task: Task, tell: Callable[[Event], None]) -> None:
    """Searches until the time is over, and tells what it comes by. The same task does the same operations."""
    _Search(task, tell).run()


def search_in_turn(tasks: Sequence[Task], tell: Callable[[tuple[int, Event]], None]) -> None:
    """Searches for one task after the other, and tells with each event the number of its task."""
    for number, task in enumerate(tasks):
        search(task, lambda event, number=number: tell((number, event)))  # type: ignore[misc]


def _turns(lab: Lab, thorough: Iterator[None], guessing: Iterator[None], share: float) -> Iterator[None]:
    """Takes turns so that the first one has its share of all operations, as long as it goes on."""
    spent, exhausted = 0, False
    while True:
        before = lab.operations.total()
        if not exhausted and spent < share * before:
            exhausted = next(thorough, _EXHAUSTED) is _EXHAUSTED
            spent += lab.operations.total() - before
        else:
            next(guessing)
        yield


_EXHAUSTED = object()
