"""Shortest runs to states that a search has found.

No state says where it came from. So the levels are gone through once more, from the last to
the first, and in each the states are found that lead to those that are wanted of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sanitree.checker.explore.evaluate import after
from sanitree.checker.explore.found import At, Explored, State
from sanitree.checker.explore.results import Trace
from sanitree.checker.explore.transitions import Move


def traces(run: Explored, wanted: Iterable[At]) -> dict[At, Trace]:
    """For each of these states a shortest run to it."""
    by_level: dict[int, list[At]] = {}
    for at in wanted:
        by_level.setdefault(at.level, []).append(at)
    before: dict[tuple[int, State], State] = {}
    targets: set[State] = set()
    packed: dict[At, State] = {}
    for level in range(max(by_level, default=0), -1, -1):
        for at in by_level.get(level, ()):
            packed[at] = run.state(at)
            targets.add(packed[at])
        if level == 0:
            break
        found = run.leading_to(level - 1, sorted(targets))
        before.update({(level, state): earlier for state, earlier in found.items()})
        targets = set(found.values())
    shown: dict[At, Trace] = {}
    for at, state in packed.items():
        path = [state]
        for level in range(at.level, 0, -1):
            path.append(before[level, path[-1]])
        shown[at] = _lived(run, path[::-1])
    return shown


def _lived(run: Explored, path: Sequence[State]) -> Trace:
    """States in normal form as a run of the model: its moves, and the states as they follow from each other.

    Each move is done once more as its expressions read.
    """
    model, layout = run.m.model, run.m.layout
    state, values = path[0], layout.unpacked(path[0])
    moves: list[Move] = []
    states = [values]
    for target in path[1:]:
        number, state, _ = next(o for o in run.outcomes(state) if o.normal == target)
        move = model.moves[number]
        later = after(move, values)
        if later is None or layout.packed(later) != state:
            raise AssertionError(f"{move.action.name} of node {move.node} does not do what its code does")
        values = later
        moves.append(move)
        states.append(values)
    return Trace(tuple(moves), tuple(states))
