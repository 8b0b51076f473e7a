"""Comparisons of sums, as simple as they can be said: most of what guards count comes down to single bits.

`lock(n) = 0 on the whole path` is written as a sum that is 0, and is a conjunction of
single conditions; a sum over all nodes beside one over a path has most terms on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from sanitree.checker.symbolic import FALSE, TRUE, E, compared, conj, const, disj, neg
from sanitree.invariants.terms import Op

Top = Callable[[E], int]
"""The largest number that a variable takes."""

ZERO, ONE = const(0), const(1)
_LARGE = 1 << 30


def is_set(e: E) -> E:
    """That a number that is never negative is not 0."""
    if e.op == "const":
        return const(bool(e.args[0]))
    if e.op == "if" and e.args[1:] == (ONE, ZERO):
        return e.args[0]  # type: ignore[no-any-return]
    return E("<", (ZERO, e))


def number_of(condition: E, top: Top) -> E:
    """1 where a condition is true, else 0."""
    if condition.op == "const":
        return const(int(condition.args[0]))
    if condition.op == "<" and condition.args[0] is ZERO and condition.args[1].op == "bits":
        bit = condition.args[1]
        if top(bit) == 1:
            return bit  # type: ignore[no-any-return]
    return E("if", (condition, ONE, ZERO))


def compare(op: Op, a: E, b: E, top: Top) -> E:
    """A comparison of two numbers made of variables, constants, sums, differences and choices."""
    if op is Op.EQ:
        for x, y in ((a, b), (b, a)):
            if x.op == "if" and (y.op in ("if", "const") or x.args[1].op == "if" or x.args[2].op == "if"):
                condition, then, otherwise = x.args
                return disj(
                    conj(condition, compare(op, then, y, top)), conj(neg(condition), compare(op, otherwise, y, top))
                )
    parts, constant = _difference(a, b, top)
    limit = -constant - (op is Op.LT)
    spans = {e: _span(e, top) for e in parts}
    low = sum(n * spans[e][n < 0] for e, n in parts.items())
    high = sum(n * spans[e][n > 0] for e, n in parts.items())
    if high <= limit and op is not Op.EQ:
        return TRUE
    if low > limit or (op is Op.EQ and high < limit):
        return FALSE
    if low == limit:
        return _all(_is(e, spans[e], n < 0) for e, n in parts.items())
    if high == limit and op is Op.EQ:
        return _all(_is(e, spans[e], n > 0) for e, n in parts.items())
    if high == limit + 1 and op is not Op.EQ:
        return neg(_all(_is(e, spans[e], n > 0) for e, n in parts.items()))
    left = _sum(parts, 1, max(0, -limit))
    right = _sum(parts, -1, max(0, limit))
    return compared(Op.EQ if op is Op.EQ else Op.LE, left, right)


def _difference(a: E, b: E, top: Top) -> tuple[dict[E, int], int]:
    """a - b as multiples of variables and conditions, and a constant."""
    parts: dict[E, int] = {}
    constant = 0
    stack = [(a, 1), (b, -1)]
    while stack:
        e, n = stack.pop()
        match e.op:
            case "const":
                constant += n * int(e.args[0])
            case "+" | "-":
                stack += [(e.args[0], n), (e.args[1], n if e.op == "+" else -n)]
            case "if" if e.args[1].op == e.args[2].op == "const":
                condition, then, otherwise = e.args[0], int(e.args[1].args[0]), int(e.args[2].args[0])
                if condition.op == "<=" and condition.args[1] is ZERO:  # said of a variable that is 0
                    condition, then, otherwise = neg(condition), otherwise, then
                constant += n * otherwise
                atom = number_of(condition, top)
                parts[atom] = parts.get(atom, 0) + n * (then - otherwise)
            case _:
                parts[e] = parts.get(e, 0) + n
    return {e: n for e, n in parts.items() if n}, constant


def _span(e: E, top: Top) -> tuple[int, int]:
    """The least and the largest number that an expression can come to."""
    match e.op:
        case "const":
            return int(e.args[0]), int(e.args[0])
        case "bits":
            return 0, top(e)
        case "if":
            (a, b), (c, d) = _span(e.args[1], top), _span(e.args[2], top)
            return min(a, c), max(b, d)
        case "+":
            (a, b), (c, d) = _span(e.args[0], top), _span(e.args[1], top)
            return a + c, b + d
        case "-":
            (a, b), (c, d) = _span(e.args[0], top), _span(e.args[1], top)
            return a - d, b - c
        case "unknown":
            return -_LARGE, _LARGE
    raise NotImplementedError(f"a model's numbers are not made with {e.op}")


def _is(e: E, span: tuple[int, int], largest: bool) -> E:
    """That an expression comes to its largest or to its least number."""
    low, high = span
    if low == 0 and not largest:
        return neg(is_set(e))
    if (low, high, largest) == (0, 1, True):
        return is_set(e)
    return compared(Op.EQ, e, const(high if largest else low))


def _all(parts: object) -> E:
    return reduce(conj, parts, TRUE)  # type: ignore[call-overload, no-any-return]


def _sum(parts: dict[E, int], sign: int, constant: int) -> E:
    terms = [e for e, n in parts.items() if n * sign > 0 for _ in range(n * sign)]
    terms += [const(constant)] if constant or not terms else []
    return reduce(lambda x, y: E("+", (x, y)), terms)
