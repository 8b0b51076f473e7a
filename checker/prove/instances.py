"""Formulas over pages, as z3 takes them: with quantifiers, each with a trigger that says of which pages it is of use.

A condition that some page meets is a predicate of the pages in it, with a function that names one that meets it.
What is said of every page is said of pages *in play* alone: those of the question, and those that are named because
of them, one step away. So z3 finds all that is of use soon, and stops. Whoever proves something from so little has
proved it: what is left out can only make a proof fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import z3

from sanitree.checker.prove.connectives import applied
from sanitree.checker.prove.order import ROOT, SECOND, above, hole, named, put_all, same, shaped, some, up
from sanitree.checker.symbolic import E, conj, disj, neg

PAGE = z3.DeclareSort("Page")
LE = z3.Function("above", PAGE, PAGE, z3.BoolSort())
UP = z3.Function("up", PAGE, PAGE)
NUMBER = z3.Function("number", PAGE, z3.IntSort())
NEAR = z3.Function("of the question", PAGE, z3.BoolSort())
PLAY = z3.Function("in play", PAGE, z3.BoolSort())

_TRUTH, _INT = z3.BoolSort(), z3.IntSort()
_X, _Y, _Z = z3.Consts("$x $y $z", PAGE)
_ROOT = z3.Const("root", PAGE)

Say = Callable[[Any], None]


def tree() -> list[Any]:
    """What a tree is: an order in which the pages above a page are a line down from the root, and `up` covers."""
    return [
        UP(_ROOT) == _ROOT,
        _every([_X], z3.And(LE(_X, _X), LE(_ROOT, _X), LE(UP(_X), _X), z3.Or(_X == _ROOT, UP(_X) != _X)), [PLAY(_X)]),
        _every([_X, _Y], z3.Implies(z3.And(LE(_X, _Y), LE(_Y, _X)), _X == _Y), [LE(_X, _Y), LE(_Y, _X)]),
        _every([_X, _Y], z3.Implies(z3.And(LE(_Y, _X), _Y != _X), LE(_Y, UP(_X))), [LE(_Y, _X), PLAY(_X)]),
        _every([_X, _Y, _Z], z3.Implies(z3.And(LE(_X, _Y), LE(_Y, _Z)), LE(_X, _Z)), [LE(_X, _Y), LE(_Y, _Z)]),
        _every(
            [_X, _Y, _Z], z3.Implies(z3.And(LE(_X, _Z), LE(_Y, _Z)), z3.Or(LE(_X, _Y), LE(_Y, _X))),
            [LE(_X, _Z), LE(_Y, _Z)],
        ),
    ]  # fmt: skip


def _every(pages: Sequence[Any], said: Any, *patterns: Sequence[Any]) -> Any:
    made = [z3.MultiPattern(*p) if len(p) > 1 else p[0] for p in patterns]
    return z3.ForAll(list(pages), said, patterns=made)


class Said:
    """What is said of the pages of one model. say: takes each formula."""

    def __init__(self, say: Say, like: Said | None = None) -> None:
        self.say = say
        self._functions: dict[tuple[Any, ...], Any] = like._functions if like else {}
        self._within: dict[E, list[E]] = like._within if like else {}
        self._made: dict[E, Any] = like._made if like else {}
        self._pages: dict[E, Any] = like._pages if like else {}
        self._met: set[E] = set(like._met) if like else set()
        """Shapes of which it was said what they mean."""
        if like is None:
            for axiom in tree():
                say(axiom)
            self.name(ROOT, NEAR)

    # Pages.

    def name(self, p: E, how: Any = PLAY) -> E:
        """A page about which things are said from now on."""
        self.say(PLAY(self.page(p)))
        if how is NEAR:
            self.say(NEAR(self.page(p)))
        return p

    def page(self, p: E) -> Any:
        """A page as z3 has it."""
        if (found := self._pages.get(p)) is None:
            if p.op == "up":
                found = UP(self.page(p.args[0]))
            elif p.op == "top":
                found = self._of_shape(p, PAGE)
            else:
                found = z3.Const(p.args[0], PAGE)
            self._pages[p] = found
        return found

    # Formulas.

    def true(self, e: E, mark: Any = None) -> None:
        """A formula is true; with a mark, where that is."""
        if e.op == "and":
            for part in e.args:
                self.true(part, mark)
            return
        self._say(e if mark is None else e, mark)
        if e.op == "not" and e.args[0].op == "some":
            p, such = e.args[0].args
            self.every(p, neg(such), mark)

    def _say(self, e: E, mark: Any) -> None:
        self._mean(e)
        self.say(self(e) if mark is None else z3.Implies(mark, self(e)))

    def ask(self, e: E, mark: Any, pages: Sequence[E]) -> None:
        """Where a mark is true, a formula is, and `pages` are the first that it says there are."""
        if e.op == "and":
            for part in e.args:
                self.ask(part, mark, pages)
        elif e.op == "some" and pages:
            self.ask(put_all(e.args[1], {e.args[0]: pages[0]}), mark, pages[1:])
        else:
            self._say(e, mark)

    def every(self, p: E, such: E, mark: Any = None) -> None:
        """Something is true of every page in play. mark: only where that is true."""
        self._mean(such)
        at, said = self.page(p), self(such)
        self.say(_every([at], said if mark is None else z3.Implies(mark, said), [PLAY(at)]))

    def __call__(self, e: E) -> Any:
        """A condition or a number as z3 has it."""
        if (found := self._made.get(e)) is None:
            found = self._made[e] = self._z3(e)
        return found

    def _z3(self, e: E) -> Any:
        match e.op:
            case "const":
                value = e.args[0]
                return z3.BoolVal(value) if isinstance(value, bool) else z3.IntVal(value)
            case "is":
                key, p, *when = e.args
                return self.function(("is", key, *when), 1, _TRUTH)(self.page(p))
            case "count of" | "children's":
                key, p, *when = e.args
                return self.function((e.op, key, *when), 1, _INT)(self.page(p))
            case "same":
                return self.page(e.args[0]) == self.page(e.args[1])
            case "above":
                return LE(self.page(e.args[0]), self.page(e.args[1]))
            case "number":
                return NUMBER(self.page(e.args[0]))
            case "some" | "as many" | "opaque":
                return self._of_shape(e, _TRUTH)
            case "unknown" | "path" | "those" | "all":
                return self._of_shape(e, _INT)
        return applied(e.op, [self(x) for x in e.args])

    # What is within formulas.

    def function(self, key: tuple[Any, ...], pages: int, sort: Any) -> Any:
        """A function of so many pages, the same for the same key."""
        if (found := self._functions.get((*key, pages))) is None:
            what = key[0].op if isinstance(key[0], E) else key[0]
            name = f"{what}#{len(self._functions)}"
            found = z3.Function(name, *(PAGE,) * pages, sort) if pages else (lambda c: lambda: c)(z3.Const(name, sort))
            self._functions[(*key, pages)] = found
        return found

    def _of_shape(self, e: E, sort: Any) -> Any:
        shape, pages = shaped(e)
        return self.function((shape,), len(pages), sort)(*map(self.page, pages))

    def _mean(self, e: E) -> None:
        """Says what is meant by all that is within an expression."""
        if (within := self._within.get(e)) is None:
            found: dict[E, None] = {}
            stack, seen = [e], {e}
            while stack:
                x = stack.pop()
                if x.op in ("some", "as many", "top"):
                    found[shaped(x)[0]] = None
                    if x.op != "top":
                        continue
                    x = x.args[2]
                    stack += [x] if x not in seen else []
                    continue
                for a in x.subs():
                    if a not in seen:
                        seen.add(a)
                        stack.append(a)
            within = self._within[e] = list(found)
        for shape in within:
            if shape not in self._met:
                self._met.add(shape)
                self._means(shape)

    def _means(self, shape: E) -> None:
        """Says what a shape means, of all pages that are in play."""
        for e in differences(shape) if shape.op == "as many" else (shape.args[1],):
            self._mean(e)
        holes = [hole(i) for i in range(len(shaped(shape)[1]))]
        at = [self.page(h) for h in holes]
        it = self.function((shape,), len(holes), PAGE if shape.op == "top" else _TRUTH)(*at)
        near, play = [NEAR(h) for h in at], [PLAY(h) for h in at]
        if shape.op == "some":
            bound, such = shape.args
            w = self.function((shape, "witness"), len(holes), PAGE)(*at)
            second = bound is SECOND
            named_w = z3.substitute(self(such), (self.page(bound), w))
            self._each(at, z3.Implies(it, z3.And(named_w, PLAY(w))), [it, *(play if second else near)])
            y = self.page(bound)
            none = z3.Implies(self(such), it)
            self._each([*at, y], none, [it, *near, PLAY(y)], *([[it, *play, NEAR(y)]] if at else []))
            if second:
                self._each([*at, y], none, [it, *play, PLAY(y)])
        elif shape.op == "top":
            bound, such, p = shape.args
            y, low = self.page(bound), self.page(p)
            it_is = z3.substitute(self(such), (y, it))
            self._each(at, z3.And(LE(it, low), z3.Or(it == _ROOT, it_is), PLAY(it)), [it, *near])
            inside = z3.And(LE(it, y), it != y, LE(y, low))
            self._each([*at, y], z3.Implies(inside, z3.Not(self(such))), [it, *near, PLAY(y)])
        else:
            more, less = map(self, differences(shape))
            alike = z3.And(z3.Not(more), z3.Not(less))
            said = z3.And(z3.Implies(alike, it), z3.Implies(z3.And(it, z3.Or(z3.Not(more), z3.Not(less))), alike))
            self._each(at, said, [it])

    def _each(self, pages: Sequence[Any], said: Any, *patterns: Sequence[Any]) -> None:
        if not pages:
            self.say(said)
            return
        kept = []
        for p in patterns:
            p = [x for x in p if z3.is_app(x) and x.num_args() > 0]
            kept.append(p)
        self.say(_every(pages, said, *kept))

    # Pages on the way.

    def between(self, pages: Sequence[E]) -> None:
        """For each two pages, where the paths to them part, and the first page on the way from one down to another."""
        for a in pages:
            for b in pages:
                if a is not b:
                    self.down(a, b)
        for i, a in enumerate(pages):
            for b in pages[:i]:
                parts, t = self.name(named(f"meet({a.args[0]},{b.args[0]})")), named("t")
                self.true(conj(above(parts, a), above(parts, b)))
                self.every(t, disj(neg(conj(above(t, a), above(t, b))), above(t, parts)))
                self.down(parts, a)
                self.down(parts, b)

    def down(self, a: E, b: E) -> E:
        """The child of a page that is on the way to another one below."""
        d = self.name(named(f"down({self.page(a)},{self.page(b)})"))
        on_the_way = conj(conj(same(up(d), a), above(d, b)), neg(same(d, ROOT)))
        self.true(disj(neg(conj(above(a, b), neg(same(a, b)))), on_the_way))
        return d


def differences(e: E) -> tuple[E, E]:
    """Of two counts: that something is counted by the first alone, and by the second alone."""
    p, a, b = e.args[:3]
    return some(p, conj(a, neg(b))), some(p, conj(b, neg(a)))
