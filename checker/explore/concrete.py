"""A model run one move at a time, with nothing of the search in it: what confirms what the search says."""

from __future__ import annotations

from collections.abc import Iterable

from sanitree.checker.explore.evaluate import after
from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Move, Transitions


class NotARunError(Exception):
    """A move that cannot happen where it is said to. step: its place, from 0 on."""

    def __init__(self, step: int, why: str) -> None:
        super().__init__(f"move {step + 1}: {why}")
        self.step = step


def named(t: Transitions, names: Iterable[tuple[str, int]]) -> tuple[Move, ...]:
    """Moves by their action's name and their node. Raises NotARunError for one that the model does not have."""
    known = {(m.action.name, m.node): m for m in t.moves}
    found: list[Move] = []
    for name in names:
        if name not in known:
            raise NotARunError(len(found), f"{name[0]} of node {name[1]} can never happen")
        found.append(known[name])
    return tuple(found)


def first(t: Transitions) -> Values:
    """The state in which every run begins."""
    s = t.system
    return {(i, n): s.first.get((v.key, n), 0) for i, v in enumerate(s.variables) for n in range(1, s.nodes + 1)}


def run(t: Transitions, moves: Iterable[Move]) -> tuple[Values, ...]:
    """Every state of the run of these moves, the first one included. Raises NotARunError."""
    states = [first(t)]
    for step, move in enumerate(moves):
        new = after(move, states[-1])
        if new is None:
            raise NotARunError(step, f"{move.action.name} of node {move.node} cannot happen here")
        for at in move.assigned:
            variable = t.system.variables[at[0]]
            if not 0 <= new[at] <= variable.top:
                what = f"{variable.key} of node {at[1]} {new[at]}, and it goes from 0 to {variable.top}"
                raise NotARunError(step, f"{move.action.name} of node {move.node} makes {what}")
        states.append(new)
    return tuple(states)
