"""How often rules were put to the test: instances that were judged, and where the rule's condition held.

A rule that says `implies(a, b)` is put to the test by an element of which `a` is true: of others
it says nothing, and a rule that only ever met those was not exercised, though it was never violated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sanitree.checker.rowwise import Programs, Seen, tallying
from sanitree.invariants.calls import Operation
from sanitree.invariants.rules import Check
from sanitree.invariants.vocabulary import Settings

EVERY = 16
"""Of so many states one is counted in full: counting costs about what judging does."""
OFTEN = 4
"""Of so many, one is asked about the rules that nothing was counted of yet."""


@dataclass(slots=True)
class _Book:
    """The checks of a kind of cache, about its states or about one operation. open: those nothing was counted of."""

    checks: tuple[Check, ...]
    every: Programs
    open: tuple[int, ...]
    ask: Programs | None
    seen: int = 0


class Tally:
    """counts: instances put to the test by rule id, of those that were counted. judged: states and steps in all."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.judged: Counter[str] = Counter()
        self.asked: set[str] = set()
        self._books: dict[tuple[Settings, Operation | None], _Book] = {}

    def see(self, about: Callable[[], tuple[Check, ...]], settings: Settings, op: Operation | None, seen: Seen) -> int:
        """Enters a state, or the step of a call; how many rules were put to the test for the first time."""
        book = self._books.get((settings, op))
        if book is None:
            checks = about()
            self.asked.update(c.rule.id for c in checks)
            book = self._books[settings, op] = _Book(checks, tallying(checks), tuple(range(len(checks))), None)
        self.judged["states" if op is None else "steps"] += 1
        book.seen += 1
        if book.seen % EVERY == 1:
            return self._enter(book, range(len(book.checks)), book.every.on(seen))
        if book.seen % OFTEN or not book.open:
            return 0
        if book.ask is None:
            book.ask = tallying(tuple(book.checks[i] for i in book.open))
        return self._enter(book, book.open, book.ask.on(seen))

    def _enter(self, book: _Book, numbers: range | tuple[int, ...], counts: list[int]) -> int:
        met = {i for i, count in zip(numbers, counts, strict=True) if count}
        names = {book.checks[i].rule.id for i in met}
        new = len(names - self.counts.keys())
        for i, count in zip(numbers, counts, strict=True):
            if count:
                self.counts[book.checks[i].rule.id] += count
        if left := tuple(i for i in book.open if i not in met):
            if left != book.open:
                book.open, book.ask = left, None
        else:
            book.open = ()
        return new
