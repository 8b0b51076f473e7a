"""Shortest runs to states that a search has found.

No state says where it came from. So the levels are gone through once more, from the last to
the first, and in each the states are found that lead to those that are wanted of the next.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from sanitree.checker.explore import backward
from sanitree.checker.explore import kernel as k
from sanitree.checker.explore.evaluate import after
from sanitree.checker.explore.results import Trace
from sanitree.checker.explore.run import At, Run
from sanitree.checker.explore.transitions import Move

_NEAR = 1 << 16

State = tuple[int, ...]


def traces(run: Run, wanted: Iterable[At]) -> dict[At, Trace]:
    """For each of these states a shortest run to it."""
    by_level: dict[int, list[At]] = {}
    for at in wanted:
        by_level.setdefault(at.level, []).append(at)
    before: dict[tuple[int, State], State] = {}
    targets: set[State] = set()
    packed: dict[At, State] = {}
    for level in range(max(by_level, default=0), -1, -1):
        for at in by_level.get(level, ()):
            packed[at] = run.stores[at.owner].state(at.number)
            targets.add(packed[at])
        if level == 0:
            break
        found = _leading_to(run, level - 1, sorted(targets))
        before.update({(level, state): earlier for state, earlier in found.items()})
        targets = set(found.values())
    lived = _Lived(run)
    shown: dict[At, Trace] = {}
    for at, state in packed.items():
        path = [state]
        for level in range(at.level, 0, -1):
            path.append(before[level, path[-1]])
        shown[at] = lived.trace(path[::-1])
    return shown


def _leading_to(run: Run, level: int, targets: Sequence[State]) -> dict[State, State]:
    """For each state one of a level from which a move leads to it."""
    wanted = np.array(targets, np.int64).reshape(len(targets), run.words)
    near = np.zeros(_NEAR, np.bool_)
    for i in range(len(targets)):
        near[int(k.hashed(wanted[i].ctypes.data, run.shape)) & (_NEAR - 1)] = True
    parents = np.full((run.cores, len(targets)), -1, np.int64)

    def look(p: int) -> None:
        begin, end = run.stores[p].levels[level : level + 2]
        moves = len(run.m.model.moves)
        backward.leading_to(run.native.successors, run.rows[p], begin, end, wanted, near, parents[p], moves, run.shape)

    run.each_owner(look)
    return {
        state: next(run.stores[p].state(int(n)) for p, n in enumerate(parents[:, i]) if n >= 0)
        for i, state in enumerate(targets)
    }


class _Lived:
    """States in normal form as a run of the model: its moves, and the states as they follow from each other."""

    def __init__(self, run: Run) -> None:
        self.model, self.layout, words = run.m.model, run.m.layout, run.words
        self.out = np.empty((len(self.model.moves) + 1, words), np.int64)
        self.by = np.empty(len(self.model.moves) + 1, np.int64)
        self.steps = _called(run.native.steps)
        self.normal = _called(run.native.normal)

    def trace(self, path: Sequence[State]) -> Trace:
        """The run along a path. Each move is done once more as its expressions read."""
        state, values = path[0], self.layout.unpacked(path[0])
        moves: list[Move] = []
        states = [values]
        for target in path[1:]:
            move, state = self._step(state, target)
            later = after(move, values)
            if later is None or self.layout.packed(later) != state:
                raise AssertionError(f"{move.action.name} of node {move.node} does not do what its code does")
            values = later
            moves.append(move)
            states.append(values)
        return Trace(tuple(moves), tuple(states))

    def _step(self, state: State, target: State) -> tuple[Move, State]:
        """A move whose outcome is a mirror image of a state, and that outcome."""
        here = np.array(state, np.int64)
        count = self.steps(here.ctypes.data, self.out.ctypes.data, self.by.ctypes.data)
        for i in range(count):
            shown = self.out[i].copy()
            self.normal(shown.ctypes.data, None, None)
            if tuple(shown.tolist()) == target:
                return self.model.moves[self.by[i]], tuple(self.out[i].tolist())
        raise AssertionError("a state of a run does not follow from the one before")


def _called(address: int) -> Callable[..., int]:
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 3)(address)
