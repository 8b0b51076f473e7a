"""Numbers that count pages, compared: by what there is, where that can be said of a tree of any size.

A count is 0 where nothing is such, two counts along one path are equal where nothing between is such. A
comparison of which no more is known is an *opaque* truth value of the pages in it. So what is said here is true
of every tree, and may leave out some of what is true.
"""

from __future__ import annotations

from functools import cache

from sanitree.checker.prove.order import ROOT, above, each, put, same, some, up
from sanitree.checker.symbolic import FALSE, TRUE, E, conj, const, disj, neg
from sanitree.invariants.terms import Op

ZERO, ONE = const(0), const(1)
HARD = frozenset({"path", "those", "all", "unknown"})
"""Numbers of which only some comparisons can be said."""

_TRUTHS = frozenset({
    "and", "or", "not", "differ", "<", "<=", "=", "is", "above", "same", "some", "opaque", "as many",
})  # fmt: skip


def compare(op: Op, a: E, b: E) -> E:
    """A comparison of two numbers, as far as it can be said."""
    if op is Op.EQ:
        for x, y in ((a, b), (b, a)):
            if x.op == "if" and (y.op in ("if", "const", "number") or _pages(x) or _hard(x)):
                c, then, otherwise = x.args
                return disj(conj(c, compare(op, then, y)), conj(neg(c), compare(op, otherwise, y)))
            if x.op == "number" and y.op == "const":
                return same(x.args[0], ROOT) if y is ZERO else FALSE if y.args[0] < 0 else _opaque(op, a, b)
        if a.op == b.op == "number":
            return same(a.args[0], b.args[0])
    if a.op == b.op == "const":
        x, y = a.args[0], b.args[0]
        return const(bool(x == y if op is Op.EQ else x < y if op is Op.LT else x <= y))
    if not _hard(a) and not _hard(b):
        return TRUE if a is b and op is not Op.LT else E({Op.EQ: "=", Op.LT: "<", Op.LE: "<="}[op], (a, b))
    parts, constant = _difference(a, b)
    limit = -constant - (op is Op.LT)  # parts <= limit, or = limit
    found = _one(op, parts, limit) or _two(op, parts, limit)
    return found if found is not None else _opaque(op, a, b)


def _one(op: Op, parts: dict[E, int], limit: int) -> E | None:
    """How many something is true of, against a number."""
    if len(parts) != 1:
        return None
    (atom, sign), *_ = parts.items()
    if atom.op not in ("path", "those") or sign not in (1, -1):
        return None
    if op is Op.EQ:
        limit *= sign
        return _none(atom) if limit == 0 else conj(neg(_none(atom)), _at_most_one(atom)) if limit == 1 else None
    if sign == 1:
        return FALSE if limit < 0 else _none(atom) if limit == 0 else _at_most_one(atom) if limit == 1 else None
    least = -limit
    if least <= 0:
        return TRUE
    return neg(_none(atom)) if least == 1 else neg(_at_most_one(atom)) if least == 2 else None


def _members(atom: E, page: E) -> E:
    """That a page is one of those that are counted."""
    such = put(atom.args[1], atom.args[0], page)
    if atom.op == "those":
        return such
    return conj(conj(above(page, atom.args[2]), neg(same(page, ROOT))), such)


def _none(atom: E) -> E:
    page = atom.args[0]
    return neg(some(page, _members(atom, page)))


def _at_most_one(atom: E) -> E:
    page, other = atom.args[0], E("page", (f"{atom.args[0].args[0]}'",))
    both = conj(_members(atom, page), _members(atom, other))
    return neg(some(page, some(other, conj(both, neg(same(page, other))))))


def _two(op: Op, parts: dict[E, int], limit: int) -> E | None:
    """Two counts against each other."""
    if len(parts) != 2 or sorted(parts.values()) != [-1, 1]:
        return None
    more = next(a for a, n in parts.items() if n == 1)
    less = next(a for a, n in parts.items() if n == -1)
    if {more.op, less.op} == {"those", "all"} and op is Op.EQ and limit == 0:
        those = more if more.op == "those" else less
        page = those.args[0]
        return each(page, disj(same(page, ROOT), those.args[1]))
    if not more.op == less.op == "path":
        return None
    if put(less.args[1], less.args[0], more.args[0]) is more.args[1]:  # of the same, on two paths
        return _on_two_paths(op, more, less, limit)
    if more.args[2] is less.args[2] and op is Op.EQ and limit == 0:
        page = more.args[0]
        a, b = _members(more, page), _members(less, page)
        return E("as many", (page, a, b))
    return None


def _on_two_paths(op: Op, more: E, less: E, limit: int) -> E | None:
    """Of pages of which one is above the other: how many there are between."""
    page, such, n, x = *more.args, less.args[2]
    unless = _opaque(op, more, less, limit)
    if op is Op.EQ and limit == 0:
        found = FALSE
        for a, b in ((x, n), (n, x)):
            found = disj(found, conj(above(a, b), clear(page, such, a, b)))
        return disj(found, conj(conj(neg(above(x, n)), neg(above(n, x))), unless))
    if such is TRUE and op is not Op.EQ and 0 <= limit < 4:
        found, at = FALSE, n
        for _ in range(limit + 1):
            found, at = disj(found, same(at, x)), up(at)
        return disj(conj(above(x, n), found), conj(neg(above(x, n)), unless))
    return None


def clear(page: E, such: E, a: E, b: E) -> E:
    """Below a page down to another nothing is such."""
    if such is TRUE:
        return same(a, b)
    between = conj(conj(above(a, page), neg(same(a, page))), above(page, b))
    return neg(some(page, conj(between, such)))


def _opaque(op: Op, *what: object) -> E:
    return E("opaque", (op.value, *what))


def _difference(a: E, b: E) -> tuple[dict[E, int], int]:
    parts: dict[E, int] = {}
    constant, stack = 0, [(a, 1), (b, -1)]
    while stack:
        e, n = stack.pop()
        match e.op:
            case "const":
                constant += n * int(e.args[0])
            case "+" | "-":
                stack += [(e.args[0], n), (e.args[1], n if e.op == "+" else -n)]
            case _:
                parts[e] = parts.get(e, 0) + n
    return {e: n for e, n in parts.items() if n}, constant


@cache
def _hard(e: E) -> bool:
    return e.op in HARD or (e.op in ("+", "-", "if") and any(_hard(x) for x in e.subs()))


def _pages(e: E) -> bool:
    """A choice that ends in a page's number."""
    return e.op == "number" or (e.op == "if" and any(_pages(x) for x in e.args[1:]))


def positive(e: E) -> E:
    """A number is above 0."""
    return compare(Op.LT, ZERO, e)


def is_truth(e: E) -> bool:
    """An expression is a condition, and no number."""
    return e in (TRUE, FALSE) or e.op in _TRUTHS
