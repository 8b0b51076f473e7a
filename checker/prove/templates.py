"""Expressions over pages as z3's, with holes where pages go.

An expression is turned into z3's once, however many pages it is said of: z3 fills the holes itself. A condition
that some page meets, a topmost page, a comparison that is left open: each is a function of the pages in it, the
same one wherever the same is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import z3

from sanitree.checker.prove.connectives import applied
from sanitree.checker.prove.order import BINDERS, E, named, pages_in, put_all, some
from sanitree.checker.symbolic import conj, const, neg

PAGE = z3.DeclareSort("Page")
LE = z3.Function("above", PAGE, PAGE, z3.BoolSort())
UP = z3.Function("up", PAGE, PAGE)
NUMBER = z3.Function("number", PAGE, z3.IntSort())

_TRUTH, _INT = z3.BoolSort(), z3.IntSort()
_ZERO = const(0)
_SAID_APART = frozenset({"some", "as many", "top"})
"""Of what these mean, more has to be said for each page."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something within an expression of which more is to be said: what it is, of any pages, and of which it is here.

    true, false: whether it may have to be true, and to be false.
    """

    shape: E
    pages: tuple[E, ...]
    true: bool
    false: bool


@dataclass(frozen=True, slots=True)
class Template:
    """An expression with holes, as z3's."""

    holes: tuple[E, ...]
    said: Any
    parts: tuple[Part, ...]


class Templates:
    """All that is ever said of one model's pages.

    numbers: whether z3 is told what numbers are. Without them a number that is never negative is 0 or it is not,
    every other comparison is left open, and z3 is faster.
    """

    def __init__(self, numbers: bool = False) -> None:
        self.numbers = numbers
        self._functions: dict[tuple[Any, ...], Any] = {}
        self._shapes: dict[E, tuple[E, tuple[E, ...]]] = {}
        self._templates: dict[tuple[E, tuple[E, ...]], Template] = {}
        self._z3: dict[tuple[E, ...], dict[E, Any]] = {}
        self._pages: dict[E, Any] = {}

    def of(self, e: E, holes: tuple[E, ...]) -> Template:
        """An expression with holes in the place of some pages."""
        if (found := self._templates.get((e, holes))) is None:
            made = self._z3.setdefault(holes, {})
            for i, hole in enumerate(holes):
                made.setdefault(hole, z3.Var(i, PAGE))
            found = self._templates[e, holes] = Template(holes, self._said(e, made), tuple(self._parts(e)))
        return found

    def page(self, p: E) -> Any:
        """A page as z3 has it."""
        return self._page(p, self._pages)

    def shape(self, e: E) -> tuple[E, tuple[E, ...]]:
        """What an expression is, of whichever pages, and of which it is."""
        if (found := self._shapes.get(e)) is None:
            pages = tuple(pages_in(e))
            found = self._shapes[e] = put_all(e, {p: hole(i) for i, p in enumerate(pages)}), pages
        return found

    def function(self, key: tuple[Any, ...], pages: int, sort: Any) -> Any:
        """A function of so many pages, the same for the same key."""
        if (found := self._functions.get((*key, pages))) is None:
            what = key[0].op if isinstance(key[0], E) else key[0]
            found = z3.Function(f"{what}#{len(self._functions)}", *(PAGE,) * pages, sort)
            self._functions[(*key, pages)] = found
        return found

    # What is within.

    def _parts(self, e: E) -> list[Part]:
        met: dict[tuple[E, bool], None] = {}
        found: dict[E, list[bool]] = {}
        stack = [(e, True)]
        while stack:
            x, true = stack.pop()
            if (x, true) in met:
                continue
            met[x, true] = None
            if x.op in _SAID_APART:
                both = x.op != "some"
                at = found.setdefault(x, [False, False])
                at[0] |= true or both
                at[1] |= not true or both
            if x.op in BINDERS:
                continue  # what is bound is within, and said where that is
            if x.op in ("and", "or"):
                stack += [(a, true) for a in x.subs()]
            elif x.op == "not":
                stack.append((x.args[0], not true))
            else:
                stack += [(a, t) for a in x.subs() for t in (True, False)]
        return [Part(*self.shape(x), *polarity) for x, polarity in found.items()]

    # In z3.

    def _page(self, p: E, made: dict[E, Any]) -> Any:
        if (found := made.get(p)) is None:
            if p.op == "up":
                found = UP(self._page(p.args[0], made))
            elif p.op == "top":
                found = self._applied(p, PAGE, made)
            else:
                found = z3.Const(p.args[0], PAGE)
            made[p] = found
        return found

    def _applied(self, e: E, sort: Any, made: dict[E, Any], also: str = "") -> Any:
        shape, pages = self.shape(e)
        f = self.function((shape, also), len(pages), sort)
        return f(*(self._page(p, made) for p in pages))

    def _said(self, e: E, made: dict[E, Any]) -> Any:
        if (found := made.get(e)) is None:
            found = made[e] = self._made(e, made)
        return found

    def _made(self, e: E, made: dict[E, Any]) -> Any:
        match e.op:
            case "const":
                value = e.args[0]
                return z3.BoolVal(value) if isinstance(value, bool) else z3.IntVal(value)
            case "is":
                key, p, *when = e.args
                return self.function(("is", key, *when), 1, _TRUTH)(self._page(p, made))
            case "count of" | "children's":
                key, p, *when = e.args
                return self.function((e.op, key, *when), 1, _INT)(self._page(p, made))
            case "same":
                return self._page(e.args[0], made) == self._page(e.args[1], made)
            case "above":
                return LE(self._page(e.args[0], made), self._page(e.args[1], made))
            case "number":
                return NUMBER(self._page(e.args[0], made))
            case "some" | "as many" | "opaque":
                return self._applied(e, _TRUTH, made)
            case "unknown" | "path" | "those" | "all":
                return self._applied(e, _INT, made)
        if e.op in ("<", "<=", "=") and not self.numbers:
            return self._compared(e, made)
        return applied(e.op, [self._said(x, made) for x in e.args])

    def _compared(self, e: E, made: dict[E, Any]) -> Any:
        """A comparison with 0, or of what is chosen between literals; any other is left open."""
        a, b = e.args
        for x, other in ((a, b), (b, a)):
            if x.op == "if" and other.op == "const":
                c, then, otherwise = x.args
                yes, no = (E(e.op, (y, b) if x is a else (a, y)) for y in (then, otherwise))
                c, yes, no = (self._said(y, made) for y in (c, yes, no))
                return z3.Or(z3.And(c, yes), z3.And(z3.Not(c), no))
        if a.op == b.op == "const":
            x, y = a.args[0], b.args[0]
            return z3.BoolVal(bool(x < y if e.op == "<" else x <= y if e.op == "<=" else x == y))
        if a is _ZERO:
            some_of = self._positive
            return z3.BoolVal(True) if e.op == "<=" else some_of(b, made) if e.op == "<" else z3.Not(some_of(b, made))
        if b is _ZERO:
            return z3.BoolVal(False) if e.op == "<" else z3.Not(self._positive(a, made))
        return self._applied(e, _TRUTH, made)

    def _positive(self, e: E, made: dict[E, Any]) -> Any:
        """That a number which is never negative is not 0."""
        match e.op:
            case "const":
                return z3.BoolVal(e.args[0] > 0)
            case "count of":
                key, p, *when = e.args
                return self.function(("some of", key, *when), 1, _TRUTH)(self._page(p, made))
            case "+":
                return z3.Or(*(self._positive(a, made) for a in e.args))
            case "if":
                c = self._said(e.args[0], made)
                a, b = (self._positive(x, made) for x in e.args[1:])
                return z3.Or(z3.And(c, a), z3.And(z3.Not(c), b))
        return self._applied(e, _TRUTH, made, "some of")


def hole(i: int) -> E:
    """The page that a shape is of in its place i."""
    return named(f"${i}")


def filled(t: Template, pages: Sequence[Any]) -> Any:
    """A template said of pages, as z3 has them."""
    return z3.substitute_vars(t.said, *pages) if pages else t.said


def differences(e: E) -> tuple[E, E]:
    """Of two counts: that something is counted by the first alone, and by the second alone."""
    p, a, b = e.args[:3]
    return some(p, conj(a, neg(b))), some(p, conj(b, neg(a)))
