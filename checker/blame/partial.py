"""Expressions of a model where only some of a state's numbers are known."""

from __future__ import annotations

from collections.abc import Mapping

from sanitree.checker.explore.arithmetic import Top, compare
from sanitree.checker.explore.transitions import Cell, Move
from sanitree.checker.symbolic import E, choose, computed, conj, const, disj, neg
from sanitree.invariants.terms import Op

Partial = Mapping[Cell, int]
"""The numbers that are known."""


def value(e: E, known: Partial, done: dict[E, int | None]) -> int | None:
    """What an expression comes to; None where that depends on what is not known. done: of the same state."""
    if e not in done:
        done[e] = _value(e, known, done)
    return done[e]


def _value(e: E, known: Partial, done: dict[E, int | None]) -> int | None:
    if e.op == "const":
        return int(e.args[0])
    if e.op == "bits":
        return known.get(e.args)
    if e.op == "if":
        c = value(e.args[0], known, done)
        if c is not None:
            return value(e.args[1] if c else e.args[2], known, done)
        a, b = value(e.args[1], known, done), value(e.args[2], known, done)
        return a if a == b else None
    x = [value(a, known, done) for a in e.args]
    match e.op:
        case "and":
            return 0 if 0 in x else None if None in x else 1
        case "or":
            return 1 if 1 in x else None if None in x else 0
    if None in x:
        return None
    a, b = x[0], x[-1]
    assert a is not None
    assert b is not None
    match e.op:
        case "not":
            return 1 - a
        case "differ":
            return a ^ b
        case "<":
            return int(a < b)
        case "<=":
            return int(a <= b)
        case "=":
            return int(a == b)
        case "+":
            return a + b
        case "-":
            return a - b
    raise ValueError(f"an expression has no meaning: {e.op}")


def before(move: Move, after: Partial) -> Partial | None:
    """What is known of the state before a move, from what is known after it; None where the move was not the last."""
    left = {cell: v for cell, v in after.items() if cell not in move.assigned}
    done: dict[E, int | None] = {}
    if value(move.guard, left, done) == 0:
        return None
    for cell, e in move.assigned.items():
        seen = after.get(cell)
        if seen is not None and value(e, left, done) not in (None, seen):
            return None
    return left


_COMPARED = {"<": Op.LT, "<=": Op.LE, "=": Op.EQ}


def substituted(e: E, cells: Mapping[Cell, E], top: Top, done: dict[E, E]) -> E:
    """An expression with others in the place of variables, and what is known folded away. done: of the same cells."""
    if e not in done:
        done[e] = _substituted(e, cells, top, done)
    return done[e]


def _substituted(e: E, cells: Mapping[Cell, E], top: Top, done: dict[E, E]) -> E:
    if e.op == "const":
        return e
    if e.op == "bits":
        return cells.get(e.args, e)
    if e.op == "if":
        c = substituted(e.args[0], cells, top, done)
        if c.op == "const":
            return substituted(e.args[1] if c.args[0] else e.args[2], cells, top, done)
        return choose(c, *(substituted(x, cells, top, done) for x in e.args[1:]))
    x = [substituted(a, cells, top, done) for a in e.args]
    match e.op:
        case "and":
            return conj(*x)
        case "or":
            return disj(*x)
        case "not":
            return neg(x[0])
        case "differ":
            return x[1] if x[0] == const(False) else neg(x[1]) if x[0] == const(True) else E("differ", tuple(x))
        case "+" | "-":
            op = Op.ADD if e.op == "+" else Op.SUB
            if x[0].op == x[1].op == "const":
                return const(x[0].args[0] + (x[1].args[0] if op is Op.ADD else -x[1].args[0]))
            return computed(op, *x)
    return compare(_COMPARED[e.op], x[0], x[1], top)
