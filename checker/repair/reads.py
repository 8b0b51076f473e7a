"""Which columns a check reads, so that what cannot matter to it is not asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from sanitree.checker.columns import Place
from sanitree.invariants.rules import Check
from sanitree.invariants.terms import Gather, Get, PathSum, Range, Term, Var, children_of
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Key

Column = tuple[Place, Key]


def place_of(check: Check) -> Place:
    """The table of a check's scope."""
    if check.rule.scope is Sort.SLOT:
        return check.rule.scope, check.component, check.tier
    return check.rule.scope, None, None


@cache
def reads(check: Check) -> tuple[frozenset[Column], frozenset[Place]]:
    """Columns that a check reads, and tables whose elements are there or not as their cells say, and so of pools of
    slots and of transfers, which name slots.
    """
    columns, places = set[Column](), set[Place]()
    for place, key in _walk(check.term, {check.rule.var: place_of(check)}):
        places.add(place)
        if key is not None:
            columns.add((place, key))
    places.add(place_of(check))
    if any(place[0] is Sort.SLOT for place in places):
        places.add((Sort.TRANSFER, None, None))
    return frozenset(columns), frozenset(p for p in places if p[0] in (Sort.SLOT, Sort.TRANSFER))


def _walk(term: Term, places: Mapping[Var, Place]) -> Iterator[tuple[Place, Key | None]]:
    if isinstance(term, Gather):
        component, tier = (term.pool if term.over is Range.SLOTS else None) or (None, None)
        place: Place = (term.over.sort, component, tier)  # type: ignore[assignment]  # instantiated
        places = {**places, term.var: place}
        yield place, None
    if isinstance(term, PathSum):
        places = {**places, term.var: (Sort.NODE, None, None)}
    if isinstance(term, Get):
        place = places[term.of] if isinstance(term.of, Var) else (Sort.NODE, None, None)
        yield place, Key.of(term.field.name, term.component, term.tier)  # type: ignore[arg-type]  # instantiated
    for part in children_of(term):
        yield from _walk(part, places)
