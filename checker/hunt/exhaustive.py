"""Every move from every state, breadth first, states that differ in names only taken once.

A live cache cannot be copied, so a state is kept as the moves that lead there, and they
are done again on a fresh cache for each move from it: unjudged, for they were judged when
the state was first met, and an unjudged operation costs a twentieth of a judged one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sanitree.checker.hunt.coverage import Coverage
from sanitree.checker.hunt.lab import Lab
from sanitree.checker.hunt.moves import Move, every_move
from sanitree.models.driving.operations import OPERATIONS, Operation

_NUMBER = {kind: i for i, kind in enumerate(OPERATIONS.values())}


@dataclass(slots=True)
class Depths:
    """complete: moves from the empty cache within which every state was met. states: how many those are."""

    complete: int = 0
    states: int = 1


def exhaustive(lab: Lab, coverage: Coverage, depths: Depths, deepest: int = 4, longest: int = 3) -> Iterator[None]:
    """A move at a time, up to so many from the empty cache; what goes wrong is told to the lab."""
    frontier: list[tuple[Operation, ...]] = [()]
    seen: set[int] = set()
    for _ in range(deepest):
        following: list[tuple[Operation, ...]] = []
        for path in frontier:
            for move in _moves(lab, path, longest):
                if (reached := _after(lab, path, move, seen, coverage)) is not None:
                    following.append(reached)
                yield
        frontier = following
        depths.complete += 1
        depths.states = len(seen)


def _moves(lab: Lab, path: tuple[Operation, ...], longest: int) -> list[Move]:
    """Those that can be begun after a path."""
    play = lab.play(lab.setup, path, judged=False)
    if play is None:
        return []
    return [move for move in every_move(play.books, lab.setup, longest) if play.can(move[0])]


def _after(
    lab: Lab, path: tuple[Operation, ...], move: Move, seen: set[int], coverage: Coverage
) -> tuple[Operation, ...] | None:
    """The operations up to the state that a move leads to; None where it is known, or the move goes wrong."""
    play = lab.play(lab.setup, path)
    if play is None:
        return None
    play.follow(move)
    lab.over(play)
    if play.wrong is not None:
        return None
    state = play.fingerprint()
    if state in seen:
        return None
    seen.add(state)
    coverage.enter(state, play.state(), _NUMBER[type(play.done[-1])])
    return tuple(play.done)
