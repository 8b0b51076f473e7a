"""Of two moves that do not touch each other, one order is enough: the other leads to the same state.

Two moves are *apart* when neither changes what the other reads or changes. Say that a state s was
come to by move a, from p, and that m is apart from a. If m may happen in s, it might in p, and a
after it: both ways round the diamond lead to one state, and that by way of a state that is no
farther away than s. So where m comes after a in the model, m need not be done in s. The other way
might be left out as well, for a third move; but each time the move that is done last comes earlier
in the model, so one way is left, and no state is found later than it would be. That m may happen
is counted none the less, from its guard.

Where states that are alike but for the order of siblings are one, the state after m is turned into a
mirror image of it, and a is then a move of the same action for other nodes. So there m need not be
done only where its action comes after a's; and only where a led to s itself, not to a mirror image.

All this is true of every move by which s was come to from the level before. A search leaves out what
it may after any of those it has seen.
"""

from __future__ import annotations

from collections.abc import Iterable

from sanitree.checker.explore.transitions import Cell, Transitions
from sanitree.checker.symbolic import E


def left_out(model: Transitions, symmetry: bool = False) -> list[int]:
    """For each move, those that need not be done in a state that it led to: a bit for each, by its place."""
    actions = list(dict.fromkeys(id(m.action) for m in model.moves))
    order = [actions.index(id(m.action)) if symmetry else place for place, m in enumerate(model.moves)]
    number: dict[Cell, int] = {}
    reads, changes = [], []
    for m in model.moves:
        changed = [cell for cell, e in m.assigned.items() if (e.op, e.args) != ("bits", cell)]
        reads.append(_bits(_cells([m.guard, *(m.assigned[cell] for cell in changed)]), number))
        changes.append(_bits(changed, number))
    return [
        sum(
            1 << m
            for m in range(len(model.moves))
            if order[m] > order[a] and not (changes[a] & (reads[m] | changes[m]) or changes[m] & reads[a])
        )
        for a in range(len(model.moves))
    ]


def _cells(expressions: Iterable[E]) -> set[Cell]:
    found: set[Cell] = set()
    met: set[E] = set()
    todo = list(expressions)
    while todo:
        e = todo.pop()
        if e not in met:
            met.add(e)
            if e.op == "bits":
                found.add(e.args)
            todo += e.subs()
    return found


def _bits(cells: Iterable[Cell], number: dict[Cell, int]) -> int:
    return sum(1 << number.setdefault(cell, len(number)) for cell in cells)
