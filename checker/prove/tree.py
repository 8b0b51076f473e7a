"""What a tree is, to z3: pages, an order of them, and which of them are spoken of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import z3


class Tree:
    """The pages of a tree, in a context of its own: so that several may be asked about at one time.

    near: pages of the question; in_play: those, and the ones that are named because of them. down: the child of a
    page that is on the way to another.
    """

    def __init__(self) -> None:
        self.context = z3.Context()
        z3.Z3_enable_concurrent_dec_ref(self.context.ref())
        self.truth, self.int = z3.BoolSort(self.context), z3.IntSort(self.context)
        self.sort = z3.DeclareSort("Page", self.context)
        self.above = z3.Function("above", self.sort, self.sort, self.truth)
        self.up = z3.Function("up", self.sort, self.sort)
        self.down = z3.Function("down", self.sort, self.sort, self.sort)
        self.number = z3.Function("number", self.sort, self.int)
        self.near = z3.Function("near", self.sort, self.truth)
        self.in_play = z3.Function("in play", self.sort, self.truth)
        self.root = self.page("root")

    def page(self, name: str) -> Any:
        """A page by its name."""
        return z3.Const(name, self.sort)

    def mark(self, name: str) -> Any:
        """A truth value by its name."""
        return z3.Bool(name, self.context)

    def all_of(self, truths: Sequence[Any]) -> Any:
        """All of some truth values."""
        return z3.And(*truths) if truths else z3.BoolVal(True, self.context)

    def axioms(self) -> Iterator[Any]:
        """The pages above a page are a line down from the root, and the page above a page covers it."""
        le, up = self.above, self.up
        x, y, z = map(self.page, ("$x", "$y", "$z"))
        covered = z3.And(le(x, x), le(self.root, x), le(up(x), x), z3.Or(x == self.root, up(x) != x))
        line = z3.Implies(z3.And(le(x, z), le(y, z)), z3.Or(le(x, y), le(y, x)))
        yield up(self.root) == self.root
        yield every([x], covered, [self.in_play(x)])
        yield every([x, y], z3.Implies(z3.And(le(x, y), le(y, x)), x == y), [le(x, y), le(y, x)])
        yield every([x, y], z3.Implies(z3.And(le(y, x), y != x), le(y, up(x))), [le(y, x), self.in_play(x)])
        yield every([x, y, z], z3.Implies(z3.And(le(x, y), le(y, z)), le(x, z)), [le(x, y), le(y, z)])
        # The child of a page on the way to another one below it is one.
        only = z3.Implies(z3.And(le(x, z), x != self.root), self.down(up(x), z) == x)
        yield every([x, z], only, [le(x, z), self.in_play(x), self.near(z)])
        two = [le(x, z), le(y, z)]
        yield every([x, y, z], line, [*two, self.near(x), self.near(y)], [*two, self.near(x), self.near(z)])


def every(pages: Sequence[Any], said: Any, *triggers: Sequence[Any]) -> Any:
    """Something is true of all pages. triggers: lists of terms; where all of one are spoken of, it is of use."""
    if not pages:
        return said
    # What is about no page is no trigger.
    kept = [[x for x in t if x.num_args()] for t in triggers]
    return z3.ForAll(list(pages), said, patterns=[z3.MultiPattern(*t) if len(t) > 1 else t[0] for t in kept])
