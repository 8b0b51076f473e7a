"""Pages of a tree of any size, as expressions over an order: which page is above which, and what holds of some.

Expressions, beside those of `symbolic`: "page" (a name) and "up" (a page) are pages; "is" (a flag and a page),
"above" (two pages, the first is above the second or the same), "same" (two pages), "some" (a page that is bound,
and a condition), "as many" (a bound page and two conditions: both are true of as many pages) and "opaque" are
conditions; "top" (a bound page, a condition, and a page: the lowest on the path to it of which the condition is
true) is a page; "number" (a page), "count of" (a counter and a page), "children's" (the sum of a counter over
children), "path" and "those" (how many a condition is true of, on the path to a page and anywhere), and "all" are
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from sanitree.checker.symbolic import FALSE, TRUE, E, conj, disj, neg

ROOT = E("page", ("root",))

_PAGES = frozenset({"page", "up"})

BINDERS = frozenset({"some", "path", "those", "top", "as many"})
"""Expressions whose first argument is a page that they bind."""


def named(name: str) -> E:
    """A page by a name of its own."""
    return E("page", (name,))


def up(p: E) -> E:
    """The page above; the root's is the root."""
    return p if p is ROOT else E("up", (p,))


def same(a: E, b: E) -> E:
    """Two pages are one."""
    return TRUE if a is b else E("same", (a, b) if repr(a) <= repr(b) else (b, a))


def above(a: E, b: E) -> E:
    """A page is on the path to another, or that one itself."""
    return TRUE if a is b or a is ROOT else E("above", (a, b))


def some(p: E, such: E) -> E:
    """Some page is such."""
    return such if such in (TRUE, FALSE) else E("some", (p, such))


def each(p: E, such: E) -> E:
    """Every page is such."""
    return neg(some(p, neg(such)))


def differ(a: E, b: E) -> E:
    """One of two conditions is true, and the other is not."""
    return disj(conj(a, neg(b)), conj(neg(a), b))


_JOINS: dict[str, Callable[..., E]] = {
    "and": conj, "or": disj, "not": neg, "some": some, "same": same, "above": above,
}  # fmt: skip


def joined(op: str, args: tuple[object, ...]) -> E:
    """An expression of new arguments, simplified where it can be."""
    join = _JOINS.get(op)
    return E(op, args) if join is None else join(*args)


_PUT: dict[tuple[E, E], dict[E, E]] = {}


def put(e: E, p: E, other: E) -> E:
    """An expression with a page in the place of another."""
    return _replaced(e, _PUT.setdefault((p, other), {p: other}))


def put_all(e: E, pages: Mapping[E, E]) -> E:
    """An expression with pages in the place of others, all at once."""
    return _replaced(e, dict(pages))


def _replaced(e: E, done: dict[E, E]) -> E:
    if (found := done.get(e)) is None:
        args = tuple(_replaced(a, done) if isinstance(a, E) else a for a in e.args)
        found = done[e] = e if args == e.args else joined(e.op, args)
    return found


def pages_in(e: E) -> list[E]:
    """The pages that an expression is about, those above as pages of their own; none that hang on what it binds."""
    found: dict[E, None] = {}

    def go(x: E, bound: frozenset[E]) -> None:
        if x is not e and x.op in _PAGES and not _mentions(x, bound):
            if x is not ROOT:
                found.setdefault(x)
            return
        own = x.args[0] if x.op in BINDERS else None
        within = bound if own is None else bound | {own}
        for a in x.subs():
            if a is not own:
                go(a, within)

    go(e, frozenset())
    return list(found) or ([e] if e.op in ("page", "up") and e is not ROOT else [])


def _mentions(p: E, bound: frozenset[E]) -> bool:
    return bool(bound) and any(x in bound for x in subs(p))


def subs(e: E) -> list[E]:
    """An expression and everything in it, once."""
    seen: dict[E, None] = {}
    stack = [e]
    while stack:
        x = stack.pop()
        if x not in seen:
            seen[x] = None
            stack += x.subs()
    return list(seen)


_FIRST, SECOND = named("$b"), named("$b'")
"""The page that a shape binds; the second where two should be one."""


def hole(i: int) -> E:
    """The page that a shape is of in its place i."""
    return named(f"${i}")


@cache
def shaped(e: E) -> tuple[E, tuple[E, ...]]:
    """What an expression is, of whichever pages, and of which it is."""
    pages = tuple(pages_in(e))
    at = {p: hole(i) for i, p in enumerate(pages)}
    if e.op in BINDERS:
        at[e.args[0]] = SECOND if str(e.args[0].args[0]).endswith("'") else _FIRST
    return put_all(e, at), pages
