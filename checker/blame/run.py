"""What may have led to a snapshot that violates rules: every cause that explains it, those first that assume least."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from sanitree.checker.blame.books import Misdefined, misdefined
from sanitree.checker.blame.causes import Assumed, Cause, causes
from sanitree.checker.blame.part import LONGEST, Look, looks
from sanitree.checker.blame.search import Explanation, Search
from sanitree.checker.render.words import count
from sanitree.checker.report import Report
from sanitree.invariants.calls import Operation
from sanitree.invariants.rules import Family
from sanitree.invariants.vocabulary import Sort
from sanitree.models.protocol.pages.abstracted import abstracted
from sanitree.models.protocol.pages.abstraction import Abstraction
from sanitree.models.protocol.pages.calls import STAGES, one_call
from sanitree.models.protocol.system import System

CALLS = 2
"""That may have been: the last, and for a fault that is known by name the one before it."""

NODES = 10
"""That are looked at, where the snapshot has more."""

_BOOKS = (Family.LEAF_SETS, Family.LRU, Family.SIZES)

_COSTS = {Assumed.FAULT: 0, Assumed.GUARD: 2, Assumed.UPDATE: 4}


@dataclass(frozen=True, slots=True, eq=False)
class Blamed:
    """explanations: those that assume least first. legal: the part that was looked at is as it may be, as far as the
    page model has words for it: what is wrong is what follows from it, or it is elsewhere. complete: every cause was
    asked about, up to the cost of the first that explains. unsure: z3 did not know in time, for some. sites: nodes
    where something is wrong; more than one where each was looked at alone. misdefined: what a cache keeps besides the
    tree, and seems to keep by a wrong definition."""

    report: Report
    abstraction: Abstraction
    system: System
    explanations: tuple[Explanation, ...]
    legal: bool | None
    complete: bool
    unsure: bool
    asked: int
    seconds: float
    sites: int = 1
    misdefined: tuple[Misdefined, ...] = ()


def blame(
    report: Report,
    nodes: Sequence[int] = (),
    seconds: float = 60.0,
    operations: Sequence[Operation] = tuple(STAGES),
    most: int = NODES,
    tell: Callable[[str], None] = lambda _: None,
) -> Blamed:
    """Of a snapshot that was judged. nodes: rows to look at besides those where something is wrong. operations: that
    the last call may have been of. Raises NotAStateError for a snapshot that the page model has no state for."""
    begun = time.perf_counter()
    until = begun + seconds
    tried = looks(report, nodes, most)
    several = sum(look.alone and not look.narrow for look in tried)
    parts: dict[int, _Part] = {}
    answer: Blamed | None = None
    for step, i in _schedule(tried):
        if answer is not None and time.perf_counter() > until:
            answer = replace(answer, complete=False)
            break
        if i not in parts:
            parts[i] = _Part(report, tried[i], seconds / 10, operations)
        found = parts[i].explained(step, until, tell)
        if answer is None or found.explanations:
            answer = replace(found, sites=max(1, several) if tried[i].alone else 1)
        if found.explanations:
            break
    assert answer is not None
    # Where the tree itself is wrong, what follows from it is so by what was done to it.
    books = tuple(sorted(misdefined(report), key=lambda d: d.otherwise)) if answer.legal else ()
    return replace(answer, seconds=time.perf_counter() - begun, misdefined=books)


_STEPS = ((0,), (1,), range(2, 99))
"""Costs that are asked about of every part before dearer ones."""


def _schedule(tried: Sequence[Look]) -> Iterator[tuple[int, int]]:
    """Which step of which look comes when; what has two moves is sought in small parts first."""
    narrow = [i for i, look in enumerate(tried) if look.narrow]
    wide = [i for i, look in enumerate(tried) if not look.narrow]
    yield 0, wide[0]
    for parts in (narrow, wide):
        for step in (0, 1):
            yield from ((step, i) for i in parts if (step, i) != (0, wide[0]))
    yield from ((2, i) for i in wide)


class _Part:
    """A part of a snapshot, ready to be asked about."""

    def __init__(self, report: Report, look: Look, seconds: float, operations: Sequence[Operation]) -> None:
        self.report, self.look = report, look
        self.a = abstracted(report.snapshot, look.rows, more=CALLS)
        self.system, self.causes = causes(self.a.model)
        self.search = Search(self.a, self.system, seconds, operations)
        self.legal = _legal(report, self.search)

    def explained(self, step: int, until: float, tell: Callable[[str], None]) -> Blamed:
        """What explains it at the costs of a step; all of the least cost."""
        found: list[Explanation] = []
        complete = True
        for asked in self._asked(_STEPS[step]) if self.legal is False else ():
            for cause, length in asked:
                if time.perf_counter() > until:
                    complete = False
                    break
                tell(f"{cause.name}, in {count(length, 'move')}")
                if (e := self.search.explained(cause, length)) is not None:
                    found.append(e)
            if found or not complete:
                break
        if step == 0 and self.legal is False and not found:
            found += self._repeated(until)
        if step == 0 and self.legal:
            found += self.search.outdated(self.report)
        found.sort(key=lambda e: (_COSTS[e.cause.assumed], not one_call([m.action.name for m in e.moves]), e.changed))
        told, search = tuple(found), self.search
        return Blamed(self.report, self.a, self.system, told, self.legal, complete, search.unsure, search.asked, 0.0)

    def _asked(self, costs: Collection[int]) -> Iterator[list[tuple[Cause, int]]]:
        """What is asked together: a cause costs more the less it is known, and half a step more a further move."""
        lengths = range(1, self.look.longest + 1)
        asked = [(_COSTS[c.assumed] + length - 1, c, length) for c in self.causes for length in lengths]
        asked = sorted((x for x in asked if x[0] in costs), key=lambda x: x[0])
        for _, same in groupby(asked, lambda x: x[0]):
            yield [(c, length) for _, c, length in same]

    def _repeated(self, until: float) -> Iterator[Explanation]:
        """Known faults that did the same to several."""
        pages = {page for row in self.look.alike for page in self.a.pages_of.get(row, ())}
        for c in self.causes if pages else ():
            known = c.assumed is Assumed.FAULT and time.perf_counter() < until
            if known and (e := self.search.repeated(c, pages, LONGEST)) is not None:
                yield e


def _legal(report: Report, search: Search) -> bool | None:
    """Whether the tree is legal, as far as the model has words for it.

    Where all that is violated is about what follows from the tree, only the model's rules count: what it has to leave
    open or to show otherwise might look illegal for no better reason.
    """
    wrong = [f.check for f in report.findings if f.violated]
    if all(c.rule.scope in (Sort.NODE, Sort.TREE) and c.rule.family in _BOOKS for c in wrong):
        return not search.violated()
    return search.legal()
