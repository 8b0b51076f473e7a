"""By how much a number changes with an action: what ties a counter to what it counts without summing anything."""

from __future__ import annotations

from sanitree.checker.prove.order import differ
from sanitree.checker.symbolic import TRUE, E, conj, const, disj, neg

Changes = dict[int | None, E]
"""By how much a number grows, and when; None: by nobody knows how much."""


def grown(new: E, old: E) -> Changes:
    """How a number has changed, where it is made of counters and of conditions."""
    if new is old:
        return {0: TRUE}
    if old.op == "+":
        parts = new.args if new.op == "+" else None
        if parts is None:
            return {None: TRUE}
        return _added(grown(parts[0], old.args[0]), grown(parts[1], old.args[1]))
    if old.op == "if" and old.args[1:] == (const(1), const(0)):
        was = old.args[0]
        now = new.args[0] if new.op == "if" and new.args[1:] == (const(1), const(0)) else None
        if now is None:
            return {None: TRUE}
        return {1: conj(now, neg(was)), -1: conj(neg(now), was), 0: neg(differ(now, was))}
    if new.op == "if":
        found: Changes = {}
        for when, value in ((new.args[0], new.args[1]), (neg(new.args[0]), new.args[2])):
            for by, where in grown(value, old).items():
                found[by] = disj(found.get(by, const(False)), conj(when, where))
        return found
    if new.op in ("+", "-") and new.args[1].op == "const":
        by = int(new.args[1].args[0]) * (1 if new.op == "+" else -1)
        return {(None if k is None else k + by): e for k, e in grown(new.args[0], old).items()}
    if new is const(0):
        return {0: none_of(old), None: some_of(old)}
    return {None: TRUE}


def _added(a: Changes, b: Changes) -> Changes:
    found: Changes = {}
    for i, x in a.items():
        for j, y in b.items():
            by = None if i is None or j is None else i + j
            found[by] = disj(found.get(by, const(False)), conj(x, y))
    return found


def changed_alike(a: Changes, b: Changes) -> E:
    """Two numbers have changed by as much."""
    found = const(False)
    for by, where in a.items():
        if by is not None and by in b:
            found = disj(found, conj(where, b[by]))
    return found


def some_of(number: E) -> E:
    """A number that is never negative is not 0."""
    return E("<", (const(0), number))


def none_of(number: E) -> E:
    """It is 0."""
    return neg(some_of(number))


def alike(a: E, b: E) -> E:
    """Both of two are 0, or neither."""
    return neg(differ(some_of(a), some_of(b)))


def counts(number: E) -> bool:
    """A number is made of what cannot be negative: literals, counters, counts of pages, and sums of such."""
    match number.op:
        case "const":
            return bool(number.args[0] >= 0)
        case "+":
            return all(map(counts, number.args))
        case "if":
            return all(map(counts, number.args[1:]))
    return number.op in ("count of", "path", "those", "all")
