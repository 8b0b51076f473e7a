"""Formulas over pages, as z3 takes them: with quantifiers, each with a trigger that says of which pages it is of use.

A condition that some page meets is a predicate of the pages in it, with a function that names one that meets it.
What is said of every page is said of pages *in play* alone: those of the question, and those that are named because
of them, one step away. So z3 finds all that is of use soon, and stops. Whoever proves something from so little has
proved it: what is left out can only make a proof fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import z3

from sanitree.checker.prove.connectives import applied
from sanitree.checker.prove.order import ROOT, SECOND, above, hole, named, put_all, same, shaped, some, up
from sanitree.checker.prove.tree import Tree, every
from sanitree.checker.symbolic import E, conj, disj, neg

Say = Callable[[Any], None]


class Said:
    """What is said of the pages of one model. say: takes each formula."""

    def __init__(self, tree: Tree, say: Say, like: Said | None = None) -> None:
        self.tree, self.say = tree, say
        self._functions: dict[tuple[Any, ...], Any] = like._functions if like else {}
        self._within: dict[E, list[E]] = like._within if like else {}
        self._made: dict[E, Any] = like._made if like else {}
        self._pages: dict[E, Any] = like._pages if like else {}
        self._met: set[E] = set(like._met) if like else set()
        """Shapes of which it was said what they mean."""
        if like is None:
            for axiom in tree.axioms():
                say(axiom)
            self.name(ROOT, near=True)

    # Pages.

    def name(self, p: E, near: bool = False) -> E:
        """A page about which things are said from now on. near: it is of the question."""
        self.say(self.tree.in_play(self.page(p)))
        if near:
            self.say(self.tree.near(self.page(p)))
        return p

    def page(self, p: E) -> Any:
        """A page as z3 has it."""
        if (found := self._pages.get(p)) is None:
            if p.op == "up":
                found = self.tree.up(self.page(p.args[0]))
            elif p.op == "top":
                found = self._of_shape(p, self.tree.sort)
            else:
                found = self.tree.page(p.args[0])
            self._pages[p] = found
        return found

    # Formulas.

    def true(self, e: E, mark: Any = None) -> None:
        """A formula is true; with a mark, where that is."""
        if e.op == "and":
            for part in e.args:
                self.true(part, mark)
            return
        self._say(e, mark)
        if e.op == "not" and e.args[0].op == "some":
            p, such = e.args[0].args
            self.every(p, neg(such), mark)

    def _say(self, e: E, mark: Any) -> None:
        self._mean(e)
        self.say(self(e) if mark is None else z3.Implies(mark, self(e)))

    def ask(self, e: E, pages: Sequence[E]) -> None:
        """A formula is true, and `pages` are the first that it says there are."""
        if e.op == "and":
            for part in e.args:
                self.ask(part, pages)
        elif e.op == "some" and pages:
            self.ask(put_all(e.args[1], {e.args[0]: pages[0]}), pages[1:])
        else:
            self._say(e, None)

    def every(self, p: E, such: E, mark: Any = None) -> None:
        """Something is true of every page in play. mark: only where that is true."""
        self._mean(such)
        at, said = self.page(p), self(such)
        self.say(every([at], said if mark is None else z3.Implies(mark, said), [self.tree.in_play(at)]))

    def __call__(self, e: E) -> Any:
        """A condition or a number as z3 has it."""
        if (found := self._made.get(e)) is None:
            found = self._made[e] = self._z3(e)
        return found

    def _z3(self, e: E) -> Any:
        match e.op:
            case "const":
                value = e.args[0]
                return (z3.BoolVal if isinstance(value, bool) else z3.IntVal)(value, self.tree.context)
            case "is":
                key, p, *when = e.args
                return self.function(("is", key, *when), [self.page(p)], self.tree.truth)
            case "count of" | "children's":
                key, p, *when = e.args
                return self.function((e.op, key, *when), [self.page(p)], self.tree.int)
            case "same":
                return self.page(e.args[0]) == self.page(e.args[1])
            case "above":
                return self.tree.above(self.page(e.args[0]), self.page(e.args[1]))
            case "number":
                return self.tree.number(self.page(e.args[0]))
            case "some" | "as many" | "opaque":
                return self._of_shape(e, self.tree.truth)
            case "unknown" | "path" | "those" | "all":
                return self._of_shape(e, self.tree.int)
        return applied(e.op, [self(x) for x in e.args])

    # What is within formulas.

    def function(self, key: tuple[Any, ...], pages: Sequence[Any], sort: Any) -> Any:
        """A function of pages, the same for the same key."""
        if (found := self._functions.get((*key, len(pages)))) is None:
            what = key[0].op if isinstance(key[0], E) else key[0]
            name = f"{what}#{len(self._functions)}"
            found = z3.Function(name, *(self.tree.sort,) * len(pages), sort) if pages else z3.Const(name, sort)
            self._functions[(*key, len(pages))] = found
        return found(*pages) if pages else found

    def _of_shape(self, e: E, sort: Any) -> Any:
        shape, pages = shaped(e)
        return self.function((shape,), [*map(self.page, pages)], sort)

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
        at = [self.page(hole(i)) for i in range(len(shaped(shape)[1]))]
        it = self.function((shape,), at, self.tree.sort if shape.op == "top" else self.tree.truth)
        near = [self.tree.near(h) for h in at]
        match shape.op:
            case "some":
                self._some(shape, at, it, near)
            case "top":
                self._top(shape, at, it, near)
            case _:
                more, less = (self(e) for e in differences(shape))
                alike = z3.And(z3.Not(more), z3.Not(less))
                said = z3.And(z3.Implies(alike, it), z3.Implies(z3.And(it, z3.Or(z3.Not(more), z3.Not(less))), alike))
                self.say(every(at, said, [it]))

    def _some(self, shape: E, at: list[Any], it: Any, near: list[Any]) -> None:
        """A page that meets a condition which some page meets; and of those in play none, where none does."""
        bound, such = shape.args
        y, in_play = self.page(bound), self.tree.in_play
        witness = self.function((shape, "witness"), at, self.tree.sort)
        said = z3.substitute(self(such), (y, witness))
        # The second of two that should be one is no farther than the first.
        second = bound is SECOND
        self.say(every(at, z3.Implies(it, z3.And(said, in_play(witness))), [it, *(() if second else near)]))
        for i, h in enumerate(at):
            if _is_child(such, bound, hole(i)):  # of one page alone, and so said of its children alone
                rest = [*at[:i], *at[i + 1 :]]
                said, it = (z3.substitute(x, (h, self.tree.up(y))) for x in (self(such), it))
                self.say(every([*rest, y], z3.Implies(said, it), [it, in_play(y)]))
                return
        triggers = [[it, *near, in_play(y)], [it, self.tree.near(y)]][: 1 + bool(at)]
        self.say(every([*at, y], z3.Implies(self(such), it), *([[it, in_play(y)]] if second else triggers)))

    def _top(self, shape: E, at: list[Any], it: Any, near: list[Any]) -> None:
        """The lowest page on a path that is such; going up, one comes to one, or to the root."""
        bound, such, p = shape.args
        y, low, le, root = self.page(bound), self.page(p), self.tree.above, self.tree.root
        it_is = z3.substitute(self(such), (y, it))
        self.say(every(at, z3.And(le(it, low), z3.Or(it == root, it_is), self.tree.in_play(it)), [it, *near]))
        inside = z3.And(le(it, y), it != y, le(y, low))
        self.say(every([*at, y], z3.Implies(inside, z3.Not(self(such))), [it, *near, self.tree.in_play(y)]))

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
        self.say(self.page(d) == self.tree.down(self.page(a), self.page(b)))
        on_the_way = conj(conj(same(up(d), a), above(d, b)), neg(same(d, ROOT)))
        self.true(disj(neg(conj(above(a, b), neg(same(a, b)))), on_the_way))
        return d


def _is_child(such: E, bound: E, parent: E) -> bool:
    """A condition that only children of a page meet."""
    if such.op == "and":
        return any(_is_child(part, bound, parent) for part in such.args)
    if such.op == "some":
        return _is_child(such.args[1], bound, parent)
    return such is same(up(bound), parent)


def differences(e: E) -> tuple[E, E]:
    """Of two counts: that something is counted by the first alone, and by the second alone."""
    p, a, b = e.args[:3]
    return some(p, conj(a, neg(b))), some(p, conj(b, neg(a)))
