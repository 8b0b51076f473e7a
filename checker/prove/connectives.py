"""What the operators of expressions are in z3, on any size of tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import z3

from sanitree.checker.symbolic import E


def built(e: E, done: dict[E, Any], made: Callable[[E], Any]) -> Any:
    """An expression in z3. made: one whose parts are in `done`. From below, so that none is too deep for Python."""
    stack = [e]
    while stack:
        top = stack[-1]
        if top in done:
            stack.pop()
        elif left := [a for a in top.subs() if a not in done]:
            stack += left
        else:
            done[stack.pop()] = made(top)
    return done[e]


def is_number(at: Any, value: int) -> Any:
    """That a flag, which is a truth value, or a number has a value."""
    return (at if value else z3.Not(at)) if z3.is_bool(at) else at == value


def number_of(found: Any) -> int:
    """The value of a flag or a bit vector in a model."""
    return int(z3.is_true(found)) if z3.is_bool(found) else int(found.as_signed_long())


def applied(op: str, a: Sequence[Any]) -> Any:
    """An operator applied to its arguments in z3."""
    match op:
        case "and":
            return z3.And(*a)
        case "or":
            return z3.Or(*a)
        case "not":
            return z3.Not(a[0])
        case "differ":
            return z3.Xor(*a)
        case "if":
            return z3.If(*a)
        case "=":
            return a[0] == a[1]
        case "<":
            return a[0] < a[1]
        case "<=":
            return a[0] <= a[1]
        case "+":
            return a[0] + a[1]
        case "-":
            return a[0] - a[1]
        case "%":
            return a[0] % a[1]
        case "some":
            return z3.Or(*a)
        case "sum":
            return z3.Sum(*a)
        case "distinct":
            return z3.Distinct(*a)
    raise NotImplementedError(f"z3 is not told what {op} means")
