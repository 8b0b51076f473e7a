"""What a check reads of a snapshot, and so which of its instances a cell can matter to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache

from sanitree.checker.columns import Place
from sanitree.checker.repair.cells import IN_FLIGHT, NODES, TRANSFERS, Cell, Cells
from sanitree.invariants.rules import Check
from sanitree.invariants.terms import (
    Fold,
    Gather,
    Get,
    PathSum,
    Range,
    Term,
    Var,
    children_of,
    free_variables,
    walk,
)
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Key


class Way(Enum):
    """How an instance comes to an element that it reads a field of."""

    OWN = "it is about the element"
    PARENT = "it is about a child of the element"
    CHILD = "it is about the parent of the element"
    OWNER = "it is about a slot that the element holds"
    ANY = "some other way"


@dataclass(frozen=True, slots=True)
class Read:
    """A field that a check reads, of elements of a table that it comes to in a way. key: None where it is only asked
    whether there is such an element.
    """

    place: Place
    key: Key | None
    way: Way


def place_of(check: Check) -> Place:
    """The table of a check's scope."""
    if check.rule.scope is Sort.SLOT:
        return check.rule.scope, check.component, check.tier
    return check.rule.scope, None, None


@cache
def reads(check: Check) -> frozenset[Read]:
    """Everything that a check reads."""
    scope = place_of(check)
    found = set(_walk(check.term, {check.rule.var: (scope, Way.OWN)}))
    found.add(Read(scope, None, Way.OWN))
    return frozenset(found)


Places = Mapping[Var, tuple[Place, Way]]


def _walk(term: Term, places: Places) -> Iterator[Read]:
    if isinstance(term, Gather):
        component, tier = (term.pool if term.over is Range.SLOTS else None) or (None, None)
        place: Place = (term.over.sort, component, tier)  # type: ignore[assignment]  # instantiated
        own_children = term.over is Range.CHILDREN and places[term.parent][1] is Way.OWN  # type: ignore[index]
        way = Way.CHILD if own_children else Way.ANY
        places = {**places, term.var: (place, way)}
        yield Read(place, None, way)
    if isinstance(term, PathSum):
        places = {**places, term.var: (NODES, Way.ANY)}
    if isinstance(term, Get):
        place, way = _come_to(term.of, places)
        yield Read(place, Key.of(term.field.name, term.component, term.tier), way)  # type: ignore[arg-type]
    for part in children_of(term):
        yield from _walk(part, places)


def _come_to(of: Term, places: Places) -> tuple[Place, Way]:
    """Where the element is that a field is read of."""
    if isinstance(of, Var):
        return places[of]
    if isinstance(of, Get) and isinstance(of.of, Var) and places[of.of][1] is Way.OWN:
        if of.field.name == "parent":
            return NODES, Way.PARENT
        if of.field.name == "owner":
            return NODES, Way.OWNER
    return NODES, Way.ANY


def matters(check: Check, cell: Cell) -> bool:
    """Whether any instance of a check can depend on a cell."""
    return any(_reaches(r, cell) for r in reads(check))


def instances(check: Check, changed: Iterable[Cell], cells: Cells) -> list[int]:
    """The rows of a check's scope to which any of these cells can matter."""
    scope = place_of(check)
    found: set[int] = set()
    for cell in changed:
        for r in reads(check):
            if _reaches(r, cell):
                found.update(_rows(r.way, scope, cell, cells))
    return sorted(found)


def _reaches(r: Read, cell: Cell) -> bool:
    if r.place[0] is Sort.SLOT:
        return cell.place in (r.place, TRANSFERS)  # transfers name slots, and whoever names one makes it be there
    return r.place == cell.place and (r.key is None or r.key == cell.key or cell.key == IN_FLIGHT)


def _rows(way: Way, scope: Place, cell: Cell, cells: Cells) -> Iterable[int]:
    match way:
        case Way.OWN:
            return (cell.row,) if cell.place == scope else cells.pool(scope).busy
        case Way.PARENT:
            return (*cells.children.get(cell.row, ()), *((0,) if cell.row == 0 else ()))
        case Way.CHILD:
            return (cells.parents[cell.row],)
        case Way.OWNER:
            return cells.pool(scope).held_by(cell.row)
    return range(cells.rows(scope) or 0)


@cache
def is_of_sums(check: Check) -> bool:
    """Whether all that a check reads of many elements are sums in which each has a part of its own."""
    folds = [t for t in walk(check.term) if isinstance(t, Gather | PathSum)]
    return bool(folds) and all(map(adds_up, folds))


@cache
def adds_up(g: Gather | PathSum) -> bool:
    """Whether a fold is a sum over a whole table in which an element's part is said by its own fields."""
    if isinstance(g, PathSum) or g.over is Range.CHILDREN or g.fold not in (Fold.SUM, Fold.COUNT) or free_variables(g):
        return False
    inner = [t for part in (g.where, g.body) for t in walk(part)]
    return all(t.of is g.var for t in inner if isinstance(t, Get)) and not any(
        isinstance(t, Gather | PathSum) for t in inner
    )
