"""What can be done next: every move of a small alphabet for an exhaustive search, one at random for a guided one.

A move is one operation, or a few that a scheduler does one after the other: a whole
request, all copies landing. Prompts are made of those that there were: a node's children
are told apart by their tokens and by nothing else, so of all prompts that leave the others
at one place one is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from sanitree.checker.hunt.books import Books
from sanitree.checker.hunt.play import EVERYTHING
from sanitree.models.driving.operations import (
    OF_ONE_CACHE,
    BackUp,
    Copy,
    CopyAt,
    Evict,
    EvictHost,
    Extend,
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
    Reset,
    Start,
    Unlock,
)
from sanitree.models.driving.setup import Setup

Move = tuple[Operation, ...]


def every_move(books: Books, setup: Setup, longest: int = 3) -> Iterator[Move]:
    """Every move that may be possible, prompts of up to so many pages; those that serve most first."""
    prompts = list(every_prompt(_known(books), longest))
    requests, locks = len(books.requests), len(books.locks)
    for p in prompts:
        yield Start(p), Finish(requests), Release(requests)
    for c in setup.components:
        for count in dict.fromkeys((1, setup.page_size * 2, EVERYTHING) if c.per_token else (1, EVERYTHING)):
            yield (Evict(c.name, count),)
            yield (EvictHost(c.name, count),)
    if books.flying:
        yield (*(Copy(0) for _ in range(books.flying)), Poll())
    yield from ((op,) for i in range(books.flying) for op in _copies(i, setup))
    yield (Poll(),)
    for i, r in enumerate(books.requests):
        yield from ((op,) for op in (Finish(i), FinishPrefetch(i), Release(i), Release(i, True)))
        yield (Extend(i, (_fresh([*_known(books), r.prompt]),)),)
    yield from ((Unlock(i),) for i in range(locks))
    for p in prompts:
        yield from ((op,) for op in (Start(p), Match(p), Lock(p), LoadBack(p), Prefetch(p), BackUp(p)))
    yield (Reset(),)


def every_prompt(known: Sequence[Prompt], longest: int) -> Iterator[Prompt]:
    """For each place in the tree of known prompts: the prompt that ends there, and those that leave it there."""
    fresh = _fresh(known)
    places = sorted({p[:i] for p in known for i in range(len(p) + 1)} or {()})
    for place in places:
        if place and len(place) <= longest:
            yield place
        for more in range(1, longest - len(place) + 1):
            yield place + tuple(range(fresh, fresh + more))


def _known(books: Books) -> list[Prompt]:
    return [*books.recent, *(r.prompt for r in books.requests)]


def _fresh(known: Iterable[Prompt]) -> int:
    """The first symbol that no prompt has."""
    return max((s for p in known for s in p), default=0) + 1


@dataclass(frozen=True, slots=True)
class Style:
    """What a run is like: which moves are frequent, which are left out, what prompts look like.

    Swarm testing (Groce and others, ISSTA 2012): runs that each leave something out reach
    more than runs that all do everything. weights: of operations by name, and of the moves
    "serve" (a whole request), "land" (all copies) and "demote" (all copies, then everything
    is evicted). longest: pages of a prompt. kinds: how likely a prompt is the same as
    another, the beginning of one, goes on where one ends, leaves one halfway, is new.
    symbols: 0 for a new one wherever prompts part, else how many there are.
    """

    weights: dict[str, float]
    longest: int
    kinds: tuple[float, ...]
    symbols: int

    @staticmethod
    def draw(rng: Random, setup: Setup) -> Style:
        """Any style."""
        weights = {name: rng.choice((0.0, 0.0, 0.5, 1.0, 2.0)) for name in OF_ONE_CACHE}
        weights |= {"serve": rng.choice((2.0, 4.0, 8.0)), "match": rng.choice((0.0, 0.3, 1.0)), "reset": 0.05}
        weights["finish"] = weights["release"] = max(0.5, weights["start"])
        weights["unlock"], weights["finish_prefetch"] = weights["lock"], weights["prefetch"]
        if setup.host_pages:
            weights |= {"land": rng.choice((0.0, 1.0, 2.0, 4.0)), "demote": rng.choice((0.0, 0.5, 1.0, 2.0))}
        if setup.ranks > 1:  # what ranks may do differently comes of copies
            weights |= {"land": rng.choice((2.0, 4.0)), "copy": 2.0, "poll": 1.0, "load_back": 1.0}
        kinds = tuple(rng.choice((0.3, 1.0, 2.0)) for _ in range(5))
        return Style(weights, rng.choice((2, 3, 4, 6)), kinds, rng.choice((0, 0, 2, 3)))

    @staticmethod
    def eventful(setup: Setup) -> Style:
        """One that leaves nothing out, with short prompts that often share pages: for the first runs, most faults
        being shallow."""
        weights = dict.fromkeys(OF_ONE_CACHE, 0.7) | {"serve": 4.0, "evict": 1.0, "evict_host": 1.0, "match": 0.4}
        weights |= {"reset": 0.05, "poll": 0.4}
        if setup.host_pages:
            weights |= {"land": 2.0, "demote": 1.5}
        return Style(weights, 4, (1.0, 1.0, 1.0, 1.5, 0.5), 2)


class Chooser:
    """Draws moves in a style."""

    def __init__(self, rng: Random, style: Style, setup: Setup) -> None:
        self.rng, self.style, self.setup = rng, style, setup
        self._names = [name for name, weight in style.weights.items() if weight]
        self._weights = [style.weights[name] for name in self._names]

    def move(self, books: Books) -> Move:
        """A move that may be possible now."""
        while True:
            (name,) = self.rng.choices(self._names, self._weights)
            if move := self._of(name, books):
                return move

    def _of(self, name: str, books: Books) -> Move | None:
        requests, rng = len(books.requests), self.rng
        match name:
            case "serve":
                return Start(self.prompt(books), rng.random() < 0.9), Finish(requests), Release(requests)
            case "land":
                return self._land(books) if books.flying else None
            case "demote":
                return (*self._land(books), *(Evict(c.name, EVERYTHING) for c in self.setup.components))
            case "start":
                return (Start(self.prompt(books), rng.random() < 0.8),) if requests < 3 else None
            case "finish" | "finish_prefetch" | "release" | "extend":
                return self._of_request(name, books)
            case "unlock":
                return (Unlock(rng.randrange(len(books.locks))),) if books.locks else None
            case "lock":
                return (Lock(self.prompt(books, known=True)),) if len(books.locks) < 3 else None
            case "evict" | "evict_host":
                c = rng.choice(self.setup.components)
                unit = self.setup.page_size if c.per_token else 1
                count = rng.choice((1, unit, 2 * unit, rng.randrange(1, 8) * unit, EVERYTHING))
                return (Evict(c.name, count) if name == "evict" else EvictHost(c.name, count),)
            case "copy":
                if not books.flying:
                    return None
                ways = _copies(rng.randrange(books.flying), self.setup)
                return (ways[0] if len(ways) == 1 else rng.choice(ways),)
            case "poll":
                return (Poll(),)
            case "reset":
                return (Reset(),) if not requests and not books.locks else None
            case "prefetch":
                return (Prefetch(self.prompt(books)),) if requests < 3 else None
            case "match":
                return (Match(self.prompt(books, known=True)),)
            case "back_up":
                return (BackUp(self.prompt(books, known=True)),)
            case "load_back":
                return (LoadBack(self.prompt(books, known=True)),)
        raise AssertionError(f"no move is called {name}")

    def _land(self, books: Books) -> Move:
        """All copies land; of several ranks as often on one alone, for then the others are late."""
        copies: list[Operation] = [Copy(0)] * books.flying
        if self.setup.ranks > 1 and self.rng.random() < 0.5:
            copies = [CopyAt(self.rng.randrange(self.setup.ranks), 0)] * books.flying
        return *copies, Poll()

    def _of_request(self, name: str, books: Books) -> Move | None:
        fetching = name == "finish_prefetch"
        fit = [i for i, r in enumerate(books.requests) if name == "release" or r.fetching is fetching]
        if not fit:
            return None
        i = self.rng.choice(fit)
        match name:
            case "finish":
                return (Finish(i),)
            case "finish_prefetch":
                return (FinishPrefetch(i),)
            case "release":
                return (Release(i, self.rng.random() < 0.4),)
        prompt = self.prompt(books)
        return (Extend(i, prompt[: self.rng.randrange(1, 3)]),)

    def prompt(self, books: Books, known: bool = False) -> Prompt:
        """A prompt; with `known` one that there was, or a part of one, if there was any."""
        rng, style, before = self.rng, self.style, _known(books)
        if not before:
            return self._new(before, 1)
        kind = rng.choices(range(2), style.kinds[:2])[0] if known else rng.choices(range(5), style.kinds)[0]
        stem = rng.choice(before)
        if kind in (_PART, _LEAVES):
            stem = stem[: rng.randrange(1, len(stem) + 1)]
        if kind in (_SAME, _PART):
            return stem
        stem = () if kind == _NEW else stem[: style.longest - 1]
        return stem + self._new(before, 1, style.longest - len(stem))

    def _new(self, before: Sequence[Prompt], least: int, most: int = 0) -> Prompt:
        more = self.rng.randrange(least, max(least, most or self.style.longest) + 1)
        if self.style.symbols:
            return tuple(self.rng.randrange(1, self.style.symbols + 1) for _ in range(more))
        fresh = _fresh(before)
        return tuple(range(fresh, fresh + more))


_SAME, _PART, _, _LEAVES, _NEW = range(5)


def _copies(transfer: int, setup: Setup) -> list[Operation]:
    """A copy lands: on one cache, or on one of several ranks."""
    return [Copy(transfer)] if setup.ranks == 1 else [CopyAt(rank, transfer) for rank in range(setup.ranks)]


def any_size(setup: Setup, rng: Random) -> Setup:
    """The same kind of cache with other pools: scarce ones on one tier, on both, or on none."""
    if not setup.host_pages:
        return replace(setup, device_pages=rng.choice((3, 5, 8)))
    return replace(
        setup,
        device_pages=rng.choice((3, 4, 6, 8)),
        host_pages=rng.choice((1, 2, 4, 6, 10)),
        states=rng.choice((1, 2, 4)),
        window=rng.choice((1, 2, 3)) * setup.page_size,
    )
