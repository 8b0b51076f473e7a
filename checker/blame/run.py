"""What may have led to a snapshot that violates rules: every cause that explains it, those first that assume least."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from sanitree.checker.blame.books import Misdefined, misdefined
from sanitree.checker.blame.causes import Assumed, Cause, causes
from sanitree.checker.blame.part import part, sites, suspects
from sanitree.checker.blame.search import Explanation, Search
from sanitree.checker.render.words import count
from sanitree.checker.report import Report
from sanitree.invariants.calls import Operation
from sanitree.invariants.rules import Family
from sanitree.invariants.vocabulary import Sort
from sanitree.models.protocol.pages.abstracted import Abstraction, abstracted
from sanitree.models.protocol.pages.calls import STAGES, one_call
from sanitree.models.protocol.system import System

LONGEST = 3
"""Moves of the last call, at most."""

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
    begun, s = time.perf_counter(), report.snapshot
    wrong = suspects(report)
    looks = [(part(s, [*nodes, *wrong], most), LONGEST, tuple(Assumed))]
    if len(wrong) > 1:  # a call may have done the same to several: then each is looked at alone
        looks = [(looks[0][0], 1, (Assumed.FAULT,))]
        looks += [(part(s, [*nodes, row], most, others), LONGEST, tuple(Assumed)) for row, others in sites(s, wrong)]
    answer: Blamed | None = None
    for rows, longest, assumed in looks:
        left = seconds - (time.perf_counter() - begun)
        if left <= 0 and answer is not None:
            answer = replace(answer, complete=False)
            break
        found = _of_part(report, rows, longest, assumed, left, operations, tell)
        if answer is None or found.explanations:
            answer = replace(found, sites=1 if answer is None else len(wrong))
        if found.explanations:
            break
    assert answer is not None
    # Where the tree itself is wrong, what follows from it is so by what was done to it.
    books = tuple(sorted(misdefined(report), key=lambda d: d.otherwise)) if answer.legal else ()
    return replace(answer, seconds=time.perf_counter() - begun, misdefined=books)


def _of_part(
    report: Report, rows: Sequence[int], longest: int, assumed: Collection[Assumed], seconds: float,
    operations: Sequence[Operation], tell: Callable[[str], None],
) -> Blamed:  # fmt: skip
    begun = time.perf_counter()
    a = abstracted(report.snapshot, rows)
    system, all_causes = causes(a.model)
    search = Search(a, system, seconds / 10, operations)
    legal = _legal(report, search)
    found: list[Explanation] = []
    complete = True
    tried = [c for c in all_causes if c.assumed in assumed]
    for asked in _by_cost(tried, longest) if legal is False else ():
        for cause, length in asked:
            if time.perf_counter() - begun > seconds:
                complete = False
                break
            tell(f"{cause.name}, in {count(length, 'move')}")
            if (e := search.explained(cause, length)) is not None:
                found.append(e)
        if found or not complete:
            break
    if legal:
        found += search.outdated(report)
    found.sort(key=lambda e: (_COSTS[e.cause.assumed], not one_call([m.action.name for m in e.moves]), e.changed))
    return Blamed(report, a, system, tuple(found), legal, complete, search.unsure, search.asked, 0.0)


def _legal(report: Report, search: Search) -> bool | None:
    """Whether the tree is legal, as far as the model has words for it.

    Where all that is violated is about what follows from the tree, only the model's rules count: what it has to leave
    open or to show otherwise might look illegal for no better reason.
    """
    wrong = [f.check for f in report.findings if f.violated]
    if all(c.rule.scope in (Sort.NODE, Sort.TREE) and c.rule.family in _BOOKS for c in wrong):
        return not search.violated()
    return search.legal()


def _by_cost(all_causes: Sequence[Cause], longest: int) -> Iterator[list[tuple[Cause, int]]]:
    """What is asked together: a cause costs more the less it is known, and half a step more a further move."""
    asked = [(_COSTS[c.assumed] + length - 1, c, length) for c in all_causes for length in range(1, longest + 1)]
    asked.sort(key=lambda x: x[0])
    for _, same in groupby(asked, lambda x: x[0]):
        yield [(c, length) for _, c, length in same]
