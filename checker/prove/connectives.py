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
            return _joined(z3.Z3_mk_and, a)
        case "or":
            return _joined(z3.Z3_mk_or, a)
        case "not":
            return z3.BoolRef(z3.Z3_mk_not(a[0].ctx.ref(), a[0].as_ast()), a[0].ctx)
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


def _joined(make: Callable[..., Any], a: Sequence[Any]) -> Any:
    """Truth values joined. What z3's wrapper does besides is to look at each, which takes most of the time."""
    context = a[0].ctx
    return z3.BoolRef(make(context.ref(), len(a), (z3.Ast * len(a))(*[x.as_ast() for x in a])), context)
