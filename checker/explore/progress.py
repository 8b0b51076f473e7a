"""From every state of one kind, some sequence of moves leads to one of another: by a fixpoint over what was found.

A bit for each state says that the goal can be reached from it. States are expanded again until no
bit is new: from the deepest to the first, since most moves lead deeper, then from the first
to the deepest, and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sanitree.checker.explore import backward
from sanitree.checker.explore.found import Judged

if TYPE_CHECKING:
    from sanitree.checker.explore.run import Run


def judge(run: Run, condition: int, moves: frozenset[int] | None) -> Judged:
    """The source is the condition of that number, the goal the one after it."""
    source, goal = run.native.conditions[condition : condition + 2]
    width = max(s.count for s in run.stores) // 8 + 1
    reaches, asked = np.zeros((run.cores, width), np.uint8), np.zeros((run.cores, width), np.uint8)
    run.peak = max(run.peak, run.bytes + 2 * int(reaches.nbytes))

    def holding(address: int, bits: NDArray[np.uint8]) -> int:
        def by(p: int) -> int:
            n = run.stores[p].count
            return int(backward.holding(address, run.rows[p], 0, n, bits[p], run.rooms[p], run.shape))

        return sum(run.each_owner(by))

    sources = holding(source, asked)
    holding(goal, reaches)
    allowed = np.array([moves is None or i in moves for i in range(len(run.m.model.moves))], np.bool_)

    def spread(backwards: bool) -> int:
        """How many more states the goal can be reached from."""

        def by(p: int) -> int:
            n, room = run.stores[p].count, run.rooms[p]
            return int(backward.spread(run.code, run.rows, p, n, backwards, reaches, allowed, room, run.shape))

        return sum(run.each_owner(by))

    backwards = True
    while (asked & ~reaches).any() and spread(backwards):
        backwards = not backwards
    stuck = [
        run.at(p, int(np.unpackbits(asked[p] & ~reaches[p], bitorder="little").argmax()))
        for p in range(run.cores)
        if (asked[p] & ~reaches[p]).any()
    ]
    return Judged(min(stuck, default=None), sources)
