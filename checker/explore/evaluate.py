"""What a model's expressions mean, one state at a time in plain Python: what every faster way must agree with."""

from __future__ import annotations

from collections.abc import Iterator

from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Move, Transitions
from sanitree.checker.symbolic import E


def evaluate(e: E, values: Values, known: dict[E, int] | None = None) -> int:
    """An expression in a state: a number, or 1 or 0 for a condition. known: of this state, what is known already."""
    known = {} if known is None else known
    if (found := known.get(e)) is None:
        found = known[e] = _evaluate(e, values, known)
    return found


def _evaluate(e: E, values: Values, known: dict[E, int]) -> int:
    if e.op == "const":
        return int(e.args[0])
    if e.op == "bits":
        return values[e.args]
    if e.op == "if":
        return evaluate(e.args[1] if evaluate(e.args[0], values, known) else e.args[2], values, known)
    x = [evaluate(a, values, known) for a in e.args]
    match e.op:
        case "and":
            return x[0] & x[1]
        case "or":
            return x[0] | x[1]
        case "not":
            return 1 - x[0]
        case "differ":
            return x[0] ^ x[1]
        case "<":
            return int(x[0] < x[1])
        case "<=":
            return int(x[0] <= x[1])
        case "=":
            return int(x[0] == x[1])
        case "+":
            return x[0] + x[1]
        case "-":
            return x[0] - x[1]
        case "%":
            return x[0] % x[1]
    raise ValueError(f"an expression has no meaning: {e.op}")


def after(move: Move, values: Values) -> dict[tuple[int, int], int] | None:
    """The state after a move; None where it may not happen."""
    known: dict[E, int] = {}
    if not evaluate(move.guard, values, known):
        return None
    return {**values, **{cell: evaluate(e, values, known) for cell, e in move.assigned.items()}}


def successors(model: Transitions, values: Values) -> Iterator[tuple[Move, dict[tuple[int, int], int]]]:
    """Every move that may happen, and the state after it."""
    for move in model.moves:
        if (new := after(move, values)) is not None:
            yield move, new
