"""Formulas over pages without quantifiers: each is said of a few pages, chosen by what the question is about.

A condition that some page meets becomes a truth value of its own. Where it is true a page is named that meets
it; where it is false no page that has a name does. Whoever proves something from so little has proved it: what
is left out can only make a proof fail. So every question is one that z3 answers, and soon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any

import z3

from sanitree.checker.prove.connectives import applied
from sanitree.checker.prove.relational import ROOT, pages_in, put, same, up
from sanitree.checker.symbolic import E, conj, disj, neg

PAGE = z3.DeclareSort("Page")
LE = z3.Function("above", PAGE, PAGE, z3.BoolSort())
UP = z3.Function("up", PAGE, PAGE)
NUMBER = z3.Function("number", PAGE, z3.IntSort())

DEEPEST = 1
"""Steps from the pages of a question to those that are named because of them."""

_ZERO = E("const", (0,))

Say = Callable[[Any], None]


class Instances:
    """What is said of named pages. say: takes each formula as it is found.

    numbers: whether z3 is told what numbers are. Without them a number that is never negative is 0 or it is not,
    every other comparison is left open, and z3 is faster by far.
    """

    def __init__(self, say: Say, numbers: bool = False) -> None:
        self.say, self.numbers = say, numbers
        self.level: dict[E, int] = {}
        self._done: dict[E, Any] = {}
        self._functions: dict[Any, Any] = {}
        self._found: dict[E, None] = {}
        """Conditions that some page is such, which may have to be true: a page is named for each."""
        self._denied: dict[E, None] = {}
        """Those that may have to be false: then no page is such."""
        self._polar: set[tuple[E, bool]] = set()
        self._met: set[tuple[E, E]] = set()
        self._universals: list[tuple[Any, E, E]] = []
        self._order: set[tuple[Any, ...]] = set()
        self.name(ROOT, 0)

    # Pages.

    def name(self, page: E, level: int) -> E:
        """A page about which things are said from now on."""
        if page not in self.level:
            self.level[page] = level
            if page is not ROOT:
                self.say(LE(self.page(up(page)), self.page(page)))
                self.say(z3.Implies(self.page(page) != self.page(ROOT), UP(self.page(page)) != self.page(page)))
        return page

    def page(self, e: E) -> Any:
        """A page as z3 has it."""
        if e.op == "up":
            return UP(self.page(e.args[0]))
        if e.op == "top":
            return self._top(e)
        return z3.Const(e.args[0], PAGE)

    def _level(self, e: E) -> int:
        return max((self.level.get(p, 0) for p in pages_in(e)), default=0)

    def _top(self, e: E) -> Any:
        """The lowest page on a path that is such; going up, one comes to one, or to the root."""
        y, such, page = e.args
        made = self._function(e, PAGE)
        if e not in self._done:
            self._done[e] = made
            if self._level(e) >= DEEPEST:  # of far pages nothing more is said, or there is no end to it
                return made
            named = E("page", (str(made),))
            self.name(named, self._level(e) + 1)
            self.say(LE(made, self.page(page)))
            self.say(self.true(disj(same(named, ROOT), put(such, y, named))))
            inside = conj(conj(E("above", (named, y)), neg(same(named, y))), E("above", (y, page)))
            self.every(y, disj(neg(inside), neg(such)))
        return made

    def _function(self, key: Any, *sorts: Any) -> Any:
        if key not in self._functions:
            name = f"{key.op if isinstance(key, E) else key[0]}#{len(self._functions)}"
            self._functions[key] = z3.Const(name, *sorts) if len(sorts) == 1 else z3.Function(name, *sorts)
        return self._functions[key]

    # Formulas.

    def suppose(self, e: E, mark: Any = None) -> None:
        """A formula is true; with a mark, where that is."""
        if e.op == "and":
            for part in e.args:
                self.suppose(part, mark)
        elif e.op == "not" and e.args[0].op == "some":
            page, such = e.args[0].args
            self.every(page, neg(such), mark)
            said = z3.Not(self(e.args[0]))  # also where it stands as a condition within another formula
            self.say(said if mark is None else z3.Implies(mark, said))
        else:
            said = self.true(e)
            self.say(said if mark is None else z3.Implies(mark, said))

    def ask(self, e: E, mark: Any, pages: Sequence[E]) -> None:
        """Where a mark is true, a formula is, and `pages` are the first that it says there are."""
        if e.op == "and":
            for part in e.args:
                self.ask(part, mark, pages)
        elif e.op == "some" and pages:
            self.ask(put(e.args[1], e.args[0], pages[0]), mark, pages[1:])
        else:
            self.say(z3.Implies(mark, self.true(e)))

    def copy(self, say: Say) -> Instances:
        """The same, of which more can be said elsewhere."""
        other = Instances.__new__(Instances)
        other.say, other.numbers = say, self.numbers
        other.level, other._done, other._functions = dict(self.level), dict(self._done), dict(self._functions)
        other._found, other._denied = dict(self._found), dict(self._denied)
        other._polar, other._met = set(self._polar), set(self._met)
        other._universals, other._order = list(self._universals), set(self._order)
        return other

    def every(self, page: E, such: E, mark: Any = None) -> None:
        """Something is true of every page: of each that has a name or will have one. mark: only where that is true."""
        self._universals.append((mark, page, such))

    def true(self, e: E) -> Any:
        """A condition that is said to be true."""
        self._mark(e, True)
        return self(e)

    def _mark(self, e: E, may_be: bool) -> None:
        """Which conditions inside may have to be true, and which false."""
        if (e, may_be) in self._polar:
            return
        self._polar.add((e, may_be))
        match e.op:
            case "some":
                (self._found if may_be else self._denied).setdefault(e)
            case "and" | "or":
                for a in e.args:
                    self._mark(a, may_be)
            case "not":
                self._mark(e.args[0], not may_be)
            case "as many":
                pass
            case _:
                for a in e.subs():
                    self._mark(a, True)
                    self._mark(a, False)

    def __call__(self, e: E) -> Any:
        """A condition or a number, about named pages."""
        if (found := self._done.get(e)) is None:
            found = self._made(e)
            if e.op != "top":
                self._done[e] = found
        return found

    def _made(self, e: E) -> Any:
        match e.op:
            case "const":
                value = e.args[0]
                return z3.BoolVal(value) if isinstance(value, bool) else z3.IntVal(value)
            case "is":
                return self._function(("is", e.args[0]), PAGE, z3.BoolSort())(self.page(e.args[1]))
            case "count of" | "children's":
                return self._function((e.op, *e.args[:1], *e.args[2:]), PAGE, z3.IntSort())(self.page(e.args[1]))
            case "same":
                return self.page(e.args[0]) == self.page(e.args[1])
            case "above":
                return LE(self.page(e.args[0]), self.page(e.args[1]))
            case "number":
                return NUMBER(self.page(e.args[0]))
            case "some":
                return self._function(e, z3.BoolSort())
            case "as many":
                return self._as_many(e)
            case "opaque":
                return self._function(e, z3.BoolSort())
            case "unknown" | "path" | "those" | "all":
                return self._function(e, z3.IntSort())
        if e.op in ("<", "<=", "=") and not self.numbers:
            return self._compared(e)
        return applied(e.op, [self(x) for x in e.args])

    def _compared(self, e: E) -> Any:
        """A comparison with 0, or of what is chosen between literals; any other is left open."""
        a, b = e.args
        for x, other in ((a, b), (b, a)):
            if x.op == "if" and other.op == "const":
                c, then, otherwise = x.args
                yes, no = (E(e.op, (y, b) if x is a else (a, y)) for y in (then, otherwise))
                return z3.Or(z3.And(self(c), self(yes)), z3.And(z3.Not(self(c)), self(no)))
        if a.op == b.op == "const":
            x, y = a.args[0], b.args[0]
            return z3.BoolVal(bool(x < y if e.op == "<" else x <= y if e.op == "<=" else x == y))
        if a is _ZERO:
            return z3.BoolVal(True) if e.op == "<=" else self._positive(b) if e.op == "<" else z3.Not(self._positive(b))
        if b is _ZERO:
            return z3.BoolVal(False) if e.op == "<" else z3.Not(self._positive(a))
        return self._function(e, z3.BoolSort())

    def _positive(self, e: E) -> Any:
        """That a number which is never negative is not 0."""
        match e.op:
            case "const":
                return z3.BoolVal(e.args[0] > 0)
            case "count of":
                return self._function(("some", *e.args[:1]), PAGE, z3.BoolSort())(self.page(e.args[1]))
            case "+":
                return z3.Or(*map(self._positive, e.args))
            case "if":
                c, a, b = self(e.args[0]), self._positive(e.args[1]), self._positive(e.args[2])
                return z3.Or(z3.And(c, a), z3.And(z3.Not(c), b))
        return self._function(("some", e), z3.BoolSort())

    def _as_many(self, e: E) -> Any:
        """Two counts are the same: known only where one counts no more than the other does."""
        page, a, b = e.args
        found = self._function(e, z3.BoolSort())
        more, less = (E("some", (page, conj(x, neg(y)))) for x, y in ((a, b), (b, a)))
        for x in (more, less):
            self._mark(x, True)
            self._mark(x, False)
        alike = z3.And(z3.Not(self(more)), z3.Not(self(less)))
        self.say(z3.Implies(alike, found))
        self.say(z3.Implies(z3.And(found, z3.Or(z3.Not(self(more)), z3.Not(self(less)))), alike))
        return found

    # Saying it of more pages.

    def settle(self) -> None:
        """Says everything of all pages that it can be said of, until nothing new is named."""
        before = None
        while before != (before := (len(self.level), len(self._met), len(self._polar), len(self._universals))):
            self._witnesses()
            for mark, page, such in list(self._universals):
                key = E("every", (page, such)) if mark is None else E("every", (page, such, str(mark)))
                for t in self._near(such):
                    if (key, t) not in self._met:
                        self._met.add((key, t))
                        said = self.true(put(such, page, t))
                        self.say(said if mark is None else z3.Implies(mark, said))
            for e in list(self._denied):
                page, such = e.args
                for t in self._near(e):
                    if (e, t) not in self._met:
                        self._met.add((e, t))
                        self.say(z3.Or(self.true(neg(put(such, page, t))), self(e)))
        self._ordered()

    def _near(self, e: E) -> list[E]:
        """The pages of which something is said that speaks of others: not of far ones where those are far."""
        left = DEEPEST - self._level(e)
        found = [p for p, level in self.level.items() if level <= left and p is not ROOT]
        if left < DEEPEST and e.op == "some" and e.args[0].args[0].endswith("'"):
            # Of two that should be one, both may be far: each has been found for a condition of its own.
            far = [p for p in pages_in(e) if self.level.get(p)]
            if len(far) == 1 and far[0].args[0].startswith("w"):
                found += [p for p in self.level if p.op == "page" and p.args[0].startswith("w")]
        return found

    def _witnesses(self) -> None:
        """Names a page for each condition that some page may meet."""
        for e in list(self._found):
            if (e, e) in self._met:
                continue
            self._met.add((e, e))
            # The second of two that should be one is no farther than the first.
            level = max(1, self._level(e)) if e.args[0].args[0].endswith("'") else self._level(e) + 1
            if level > DEEPEST:
                continue
            page = self.name(E("page", (f"w{len(self.level)}.{len(self._met)}",)), level)
            self.say(z3.Implies(self(e), self.true(put(e.args[1], e.args[0], page))))

    def _ordered(self) -> None:
        """What a tree is, of the pages that have names."""
        root, pages = self.page(ROOT), {p: self.page(p) for p in self.level}
        near = list(pages.values())
        for x in near:
            self._once(("one", x), z3.And(LE(x, x), LE(root, x)))
        for x, y in product(near, near):
            if x is not y:
                covers = z3.Implies(z3.And(LE(y, x), y != x), LE(y, UP(x)))
                self._once(("two", x, y), z3.And(z3.Implies(z3.And(LE(x, y), LE(y, x)), x == y), covers))
        core = [pages[p] for p, level in self.level.items() if level == 0 and p is not ROOT]
        for x, y, w in {t for a, b in product(core, core) for c in near for t in ((a, b, c), (a, c, b), (c, a, b))}:
            if x is not y and y is not w and x is not w:
                goes_on = z3.Implies(z3.And(LE(x, y), LE(y, w)), LE(x, w))
                line = z3.Implies(z3.And(LE(x, w), LE(y, w)), z3.Or(LE(x, y), LE(y, x)))
                self._once(("three", x, y, w), z3.And(goes_on, line))

    def _once(self, key: tuple[Any, ...], said: Any) -> None:
        name = (key[0], *(x.get_id() for x in key[1:]))
        if name not in self._order:
            self._order.add(name)
            self.say(said)

    def between(self, pages: Iterable[E]) -> Iterator[E]:
        """For each two pages, where the paths to them part, and the first page on the way from one down to another."""
        pages = list(pages)
        for a, b in product(pages, pages):
            if a is b:
                continue
            yield self.down(a, b)
        for i, a in enumerate(pages):
            for b in pages[:i]:
                parts = self.name(E("page", (f"meet({a.args[0]},{b.args[0]})",)), DEEPEST)
                m, x, y = self.page(parts), self.page(a), self.page(b)
                self.say(z3.And(LE(m, x), LE(m, y)))
                t = E("page", ("t",))
                common = conj(E("above", (t, a)), E("above", (t, b)))
                self.every(t, disj(neg(common), E("above", (t, parts))))
                yield parts
                yield self.down(parts, a)
                yield self.down(parts, b)

    def down(self, a: E, b: E) -> E:
        """The child of a page that is on the way to another one below."""
        down = self.name(E("page", (f"down({self.page(a)},{self.page(b)})",)), DEEPEST)
        x, y, d, root = self.page(a), self.page(b), self.page(down), self.page(ROOT)
        self.say(z3.Implies(z3.And(LE(x, y), x != y), z3.And(UP(d) == x, LE(d, y), d != root)))
        return down
