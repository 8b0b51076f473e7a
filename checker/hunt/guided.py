"""Guided random search: runs in changing styles, and runs that go on where others met something new.

A run that meets a new situation, or puts a rule to the test that never was before, is kept,
up to there, as a seed for others; seeds that brought more, and that were taken less often,
are taken first (as in AFL and its successors). A run ends when nothing new has come for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

from sanitree.checker.hunt.coverage import Coverage
from sanitree.checker.hunt.lab import Lab
from sanitree.checker.hunt.moves import Chooser, Style, any_size
from sanitree.checker.hunt.play import Play
from sanitree.models.driving.operations import OPERATIONS, Operation
from sanitree.models.driving.setup import Setup

LENGTH = 40
"""Moves of a run at most."""
EVENTFUL = 3
"""Runs that leave nothing out, before styles are drawn."""
PATIENCE = 12
"""Moves without a new state after which a run ends."""
SEEDED = 0.4
"""How many of the runs begin with a seed."""
RULE = 20
"""Situations that a rule is worth which was never put to the test before."""
KEPT = 400
"""Seeds that are kept."""

_NUMBER = {kind: i for i, kind in enumerate(OPERATIONS.values())}


@dataclass(slots=True)
class _Seed:
    setup: Setup
    operations: tuple[Operation, ...]
    brought: int
    taken: int = 0

    @property
    def worth(self) -> float:
        return self.brought / (1 + self.taken) / (5 + len(self.operations))


def guided(lab: Lab, rng: Random, coverage: Coverage) -> Iterator[None]:
    """Runs for ever, a run at a time; what goes wrong is told to the lab."""
    seeds: list[_Seed] = []
    for number in count():
        seed = _draw(seeds, rng) if seeds and rng.random() < SEEDED else None
        setup = any_size(lab.setup, rng) if seed is None else seed.setup
        play = lab.play(setup, () if seed is None else _changed(seed.operations, rng))
        if play is not None:
            style = Style.eventful(setup) if number < EVENTFUL else Style.draw(rng, setup)
            _run(play, rng, style, coverage, seeds, LENGTH if seed is None else LENGTH // 2)
            lab.over(play)
        yield


def _run(play: Play, rng: Random, style: Style, coverage: Coverage, seeds: list[_Seed], length: int) -> None:
    chooser = Chooser(rng, style, play.driver.setup)
    stale = exercised = 0
    for _ in range(length):
        move = chooser.move(play.books)
        done = len(play.done)
        if not play.follow(move):
            return
        if len(play.done) == done:
            continue
        new = coverage.enter(play.fingerprint(), play.state(), _NUMBER[type(play.done[-1])])
        first, exercised = play.exercised - exercised, play.exercised
        stale = stale + 1 if new is None and not first else 0
        if new or first:
            seeds.append(_Seed(play.driver.setup, tuple(play.done), (new or 0) + RULE * first))
        if stale > PATIENCE:
            break
    if len(seeds) > KEPT:
        seeds.sort(key=lambda s: -s.worth)
        del seeds[KEPT // 2 :]
    play.end()


def _draw(seeds: list[_Seed], rng: Random) -> _Seed:
    (seed,) = rng.choices(seeds, [s.worth for s in seeds])
    seed.taken += 1
    return seed


def _changed(operations: tuple[Operation, ...], rng: Random) -> tuple[Operation, ...]:
    """The same, or one or two left out."""
    kept = list(operations)
    for _ in range(rng.choice((0, 0, 1, 2))):
        if len(kept) > 1:
            del kept[rng.randrange(len(kept))]
    return tuple(kept)
