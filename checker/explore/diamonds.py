"""Of two moves that do not touch each other, one order is enough: the other leads to the same state.

Two moves are *apart* when neither changes what the other reads or changes. Say that a state s was
come to by move a, from p, and that m is apart from a. If m may happen in s, it might in p, and a
after it: both ways round the diamond lead to one state, and each by way of a state that is as far
away as s. So where m comes after a in some fixed order of all moves, m need not be done in s. The
other way might be left out too, for a third move; but each time the move that is done last comes
earlier in the order, so one way is left, and no state is found later than it would be. That m may
happen is counted none the less, from its guard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sanitree.checker.explore.transitions import Cell, Move, Transitions
from sanitree.checker.symbolic import E


@dataclass(frozen=True, slots=True)
class Order:
    """Moves by their places in a model. moves: all of them, in this order. left_out: for each, a set as bits: those
    that need not be done in a state that it led to.
    """

    moves: tuple[int, ...]
    left_out: tuple[int, ...]


def ordered(model: Transitions) -> Order:
    """Those that are apart from most others come first: they leave out most, and are done first."""
    number: dict[Cell, int] = {}
    reads, changes = [], []
    for m in model.moves:
        changed = [cell for cell, e in m.assigned.items() if (e.op, e.args) != ("bits", cell)]
        read = _cells([m.guard, *(m.assigned[cell] for cell in changed)])
        reads.append(_bits(read, number))
        changes.append(_bits(changed, number))
    places = range(len(model.moves))
    apart = [
        sum(1 << b for b in places if not (changes[a] & (reads[b] | changes[b]) or changes[b] & reads[a]))
        for a in places
    ]
    moves = sorted(places, key=lambda a: -apart[a].bit_count())
    left_out = [0] * len(moves)
    later = 0
    for a in reversed(moves):
        left_out[a] = apart[a] & later
        later |= 1 << a
    return Order(tuple(moves), tuple(left_out))


def _cells(expressions: Iterable[E]) -> set[Cell]:
    found: set[Cell] = set()
    met: set[E] = set()
    todo = list(expressions)
    while todo:
        e = todo.pop()
        if e not in met:
            met.add(e)
            if e.op == "bits":
                found.add(e.args)  # type: ignore[arg-type]
            todo += e.subs()
    return found


def _bits(cells: Iterable[Cell], number: dict[Cell, int]) -> int:
    return sum(1 << number.setdefault(cell, len(number)) for cell in cells)
