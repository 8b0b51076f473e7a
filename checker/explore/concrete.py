"""A model run one move at a time, with nothing of the search in it: what confirms what the search says."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping

from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Move, Transitions
from sanitree.checker.symbolic import E


class NotARunError(Exception):
    """A move that cannot happen where it is said to. step: its place."""

    def __init__(self, step: int, why: str) -> None:
        super().__init__(why)
        self.step = step


def first(t: Transitions) -> Values:
    """The state in which every run begins: every number is 0."""
    return {(i, n): 0 for i in range(len(t.system.variables)) for n in range(1, t.system.nodes + 1)}


def run(t: Transitions, moves: Iterable[Move]) -> tuple[Values, ...]:
    """Every state of the run of these moves, the first one included. Raises NotARunError."""
    states = [first(t)]
    for step, move in enumerate(moves):
        found = _Reading(states[-1])
        if not found.of(move.guard):
            raise NotARunError(step, f"{move.action.name} of node {move.node} cannot happen here")
        new = {**states[-1], **{at: found.of(value) for at, value in move.assigned.items()}}
        for at, value in new.items():
            variable = t.system.variables[at[0]]
            if not 0 <= value <= variable.top:
                what = f"{variable.key} of node {at[1]} {value}, and it goes from 0 to {variable.top}"
                raise NotARunError(step, f"{move.action.name} of node {move.node} makes {what}")
        states.append(new)
    return tuple(states)


def holds(condition: E, state: Values) -> bool:
    """Whether a condition is true in a state."""
    return bool(_Reading(state).of(condition))


_OPERATORS: Mapping[str, object] = {
    "<": operator.lt, "<=": operator.le, "=": operator.eq, "+": operator.add, "-": operator.sub,
    "differ": operator.ne,
}  # fmt: skip


class _Reading:
    """Values of expressions in one state; parts that several share are computed once."""

    def __init__(self, state: Values) -> None:
        self.state = state
        self.known: dict[E, int] = {}

    def of(self, e: E) -> int:
        if e not in self.known:
            self.known[e] = int(self._read(e))
        return self.known[e]

    def _read(self, e: E) -> int:
        match e.op:
            case "const":
                return int(e.args[0])
            case "bits":
                return self.state[e.args[0], e.args[1]]
            case "and":
                return self.of(e.args[0]) and self.of(e.args[1])
            case "or":
                return self.of(e.args[0]) or self.of(e.args[1])
            case "not":
                return not self.of(e.args[0])
            case "if":
                return self.of(e.args[1] if self.of(e.args[0]) else e.args[2])
        a, b = (self.of(x) for x in e.args)
        meaning = _OPERATORS[e.op]
        assert callable(meaning)
        return int(meaning(a, b))
