"""A run of the model, done by a live cache: lockstep the other way round.

Each move is asked for by operations that a scheduler has, in every way that may lead to it, until the cache is where
the run is after it. A cache that decides something otherwise (what is evicted first, what an insert does besides) is
not where the run is, and parts from it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sanitree.checker.hunt.books import Books
from sanitree.checker.lockstep.follow import Followed, Position
from sanitree.checker.lockstep.search import Difference
from sanitree.checker.lockstep.shown import Path
from sanitree.checker.perform.beside import Beside
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.operations import (
    BackUp,
    Copy,
    Evict,
    EvictHost,
    Finish,
    FinishPrefetch,
    LoadBack,
    Lock,
    Match,
    Operation,
    Poll,
    Prefetch,
    Prompt,
    Release,
    Start,
    Unlock,
    tokens_of,
)
from sanitree.models.protocol.pages import words as w
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Ack

AHEAD = 6
"""Moves that one operation may come to."""

_UNCOMPARED = (w.HITS, *w.COPIED.values())
"""What is the cache's to count, and what bytes that were there before would show: the driver knows which copies have
run."""

_OF_SLOTS = ("taken", "free_twice")


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the page model. parents: of pages 1, 2, …; moves: an action and the page that it is of; states: what
    each page's variables are, from the first state on, one more than there are moves. fault: of the model, by name."""

    parents: tuple[int, ...]
    moves: tuple[tuple[str, int], ...]
    states: tuple[Mapping[tuple[Key, int], int], ...]
    fault: str | None = None

    def prompt(self, page: int) -> Prompt:
        """The prompt that ends at a page: each is called by its number."""
        found: tuple[int, ...] = ()
        while page:
            found, page = (page, *found), self.parents[page - 1]
        return found

    def path(self, page: int, size: int) -> Path:
        """The same as tokens, so many a page."""
        return tuple(tokens_of((symbol,), size) for symbol in self.prompt(page))


@dataclass(frozen=True, slots=True)
class Performed:
    """operations: that were done. moves: so many of the run the cache did; all of them, where nothing differs.

    differences: after the way that came nearest to the next move. took: what the model did there.
    """

    operations: tuple[Operation, ...]
    moves: int
    differences: tuple[Difference, ...] = ()
    took: tuple[tuple[str, Path], ...] = ()


def perform(driver: Driver, run: Run) -> Performed:
    """Does as much of a run as the cache does. driver: of as many pages of room as the run's model has."""
    done: list[Operation] = []
    at = 0
    cache = _Cache(driver, run)
    try:
        while at < len(run.moves):
            parted: list[_Parting] = []
            for number, way in enumerate(ways(run, at, cache.play.books)):
                if number:
                    cache.end()
                    cache = _Cache(driver, run)
                    cache.do(done)
                reached = cache.comes_to(way, at)
                if isinstance(reached, int):
                    break
                parted.append(reached)
            else:
                nearest = min(parted, key=lambda p: len(p.differences), default=_Parting())
                return Performed(tuple(done), at, nearest.differences, nearest.took)
            done += way
            at = reached
    finally:
        cache.end()
    return Performed(tuple(done), at)


@dataclass(frozen=True, slots=True)
class _Parting:
    """A way that did not come to a move: what is otherwise in what it came to, and what the model did there."""

    differences: tuple[Difference, ...] = ()
    took: tuple[tuple[str, Path], ...] = ()


class _Cache(Beside):
    """A fresh cache that does a run. took: what the model was seen to do since somebody cleared it. landed: transfers
    whose copy had run after the last operations that were asked for."""

    def __init__(self, driver: Driver, run: Run) -> None:
        super().__init__(driver, run.fault)
        self.run = run
        self.took: list[tuple[str, Path]] = []
        self.landed: frozenset[Ack] = frozenset()
        self.paths = [run.path(page, driver.setup.page_size) for page in range(len(run.parents) + 1)]
        self.places = {k: i for k, i in self.follower.places.items() if k not in _UNCOMPARED}

    def heard(self, told: Followed, before: Position, after: Snapshot) -> None:
        """Keeps what the model did."""
        self.took += told.took

    def comes_to(self, way: Sequence[Operation], at: int) -> int | _Parting:
        """Does operations; how far in the run that leads, whose next move is the one at a place."""
        self.took.clear()
        going = self.do(way)
        self.landed = self.driver.hidden().landed
        reached = self.place(at)
        if reached is not None and (going or reached == len(self.run.moves)):  # else nobody follows what it does next
            return reached
        return _Parting(min(map(self.differences, self.states_ahead(at)), key=len), tuple(self.took))

    def place(self, at: int) -> int | None:
        """How far in the run it is, when its next move was the one at a place; None where it is nowhere ahead.

        A move that changes nothing that is seen, as a hit, counts as done.
        """
        if not self.differences(at):
            return None if self.differences(at + 1) else at + 1
        return next((i for i in self.states_ahead(at) if not self.differences(i)), None)

    def states_ahead(self, at: int) -> range:
        """States that one operation may come to."""
        return range(at + 1, min(at + AHEAD, len(self.run.moves)) + 1)

    def differences(self, at: int) -> tuple[Difference, ...]:
        """What is seen and is otherwise in the run's state of a number."""
        return tuple(self._differences(self.run.states[at]))

    def _differences(self, state: Mapping[tuple[Key, int], int]) -> Iterator[Difference]:
        pages = self.follower.at.seen.pages
        for page, path in enumerate(self.paths[1:], 1):
            row = pages.get(path)
            for key, place in self.places.items():
                own = state.get((key, page), 0)
                seen = 0 if row is None else row[place]
                gone = row is None and key.name in _OF_SLOTS  # whose slots those were, nobody sees
                if seen is not None and seen != own and not gone:
                    yield Difference(path, key, own, None if row is None else seen)
        yield from self._landed(state)
        for path in pages.keys() - set(self.paths):
            yield Difference(path, Key.of("present", FULL, DEVICE), 0, 1)
        if not self.play.books.requests:
            yield from self._handed_out(state)

    def _landed(self, state: Mapping[tuple[Key, int], int]) -> Iterator[Difference]:
        """Of each transfer in flight, whether its copy has run."""
        for ack, path in self.follower.at.seen.flights.items():
            key = w.COPIED[ack[0]]
            own = state.get((key, self.paths.index(path)), 0) if path in self.paths else 0
            if own != (ack in self.landed):
                yield Difference(path, key, own, int(ack in self.landed))

    def _handed_out(self, state: Mapping[tuple[Key, int], int]) -> Iterator[Difference]:
        """Slots of each pool, where the tree alone has any."""
        for (c, tier), seen in self.follower.at.seen.taken.items():
            taken, twice = (Key.of(name, c, tier) for name in _OF_SLOTS)
            own = sum(state.get((taken, page), 0) - state.get((twice, page), 0) for page in range(1, len(self.paths)))
            if own != seen:
                yield Difference((), taken, own, seen)


def ways(run: Run, at: int, books: Books) -> Iterator[tuple[Operation, ...]]:
    """Operations that may come to a move of a run, by its place, in a cache that has done those before it."""
    action, page = run.moves[at]
    for asked in asks(action, run.prompt(page), books):
        if isinstance(asked[0], Evict | EvictHost):
            yield (*(Match(run.prompt(leaf)) for leaf in _leaves(run, at, page)), *asked)
        yield asked


def asks(action: str, prompt: Prompt, books: Books) -> Iterator[tuple[Operation, ...]]:
    """Operations of a scheduler that may come to an action of the model at the end of a prompt."""
    requests = len(books.requests)
    match action:
        case "split":
            yield (Match(prompt),)
        case "insert" | "insert_again":
            yield Start(prompt, False), Finish(requests), Release(requests)
        case "acquire":
            yield (Lock(prompt),)
        case "release":
            yield from ((Unlock(i),) for i, locked in enumerate(books.locks) if locked == prompt)
        case "submit_write":
            yield (BackUp(prompt),)
        case "submit_load":
            yield (LoadBack(prompt),)
        case "copy_write" | "copy_load":
            yield from ((Copy(i),) for i in range(books.flying))
        case "ack_write" | "ack_load":
            yield (Poll(),)
        case "prefetch":
            yield Prefetch(prompt), FinishPrefetch(requests)
        case _:
            yield (_evicting(action),)


def _evicting(action: str) -> Operation:
    """The eviction that an action is of."""
    if action.startswith("evict_host_copy_"):
        return EvictHost(action.removeprefix("evict_host_copy_"), 1)
    if action.startswith("evict_copy_"):
        return Evict(action.removeprefix("evict_copy_"), 1)
    return EvictHost(FULL.name, 1) if action in ("evict_host", "reclaim") else Evict(FULL.name, 1)


def _leaves(run: Run, at: int, page: int) -> list[int]:
    """Where prompts of the tree end, but for what a page is on the way to: when they have been matched, it is the least
    recently used."""
    state = run.states[at]
    copies = [Key.of("present", FULL, tier) for tier in (DEVICE, HOST)]
    there = [n for n in range(1, len(run.parents) + 1) if any(state.get((key, n)) for key in copies)]
    above = {run.parents[n - 1] for n in there}
    return [n for n in there if n not in above and page not in run.prompt(n)]
