"""Expressions about rules' elements, turned into expressions about the local variables of one place in the walk.

Places: "root" (before the walk, `p` is the root), "child" (in the loop over `p`'s
children, `n` is the child and `e` its edge), "leaf" (the same, for a child without
children), "inner" (after that loop), "record" (a transfer or request `x`), "path"
(an ancestor `a`), "tree" (after the walk).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sanitree.checker.fused.twovalued import STRUCTURAL, Met, TwoValued
from sanitree.checker.symbolic import FALSE, TRUE, E, conj, const, disj, neg
from sanitree.invariants.terms import Get, Op, Range, Var, make
from sanitree.invariants.vocabulary import FIELDS, Field, Sort
from sanitree.models.reading import ELEMENT, Access, Reading


@dataclass(frozen=True, slots=True)
class Place:
    """Where code is written, and which local variable each rule variable is there."""

    kind: str
    names: Mapping[Any, str]
    idle: bool = False
    """Whether the element that is judged here is known to have no lock."""


@dataclass(frozen=True, slots=True)
class Read:
    """An access on a local variable: the unit that is read once and kept."""

    access: Access
    of: str


IS_ROOT = Access("({0} is root)", (ELEMENT,))


RANKS = ("lru_rank", "lru_prev_rank", "lru_length")


class Grounding:
    """Grounds expressions; `folds` names the variables that hold gathered folds."""

    def __init__(self, reading: Reading, folds: Mapping[E, str]) -> None:
        self.reading = reading
        self.folds = folds
        self.algebra = TwoValued(reading)
        # The root's parent is the root, though its pointer is empty.
        self.up = Access("(root if {0} is root else {1})", (ELEMENT, reading.parent))

    def ground(self, e: E, place: Place) -> E:
        """`e` with elements, fields and folds replaced by local names and reads, and simplified."""
        match e.op:
            case "const":
                return e
            case "var":
                return E("name", (place.names[e.args[0]],))
            case "get":
                field, component, tier, of = e.args
                return self._get(field, component, tier, of, place)
            case "not":
                return neg(self.ground(e.args[0], place))
            case "and" | "or":
                # What one side settles, the other need not be known for: the root has no edge.
                first = self.ground(e.args[0], place)
                if first == (FALSE if e.op == "and" else TRUE):
                    return first
                return (conj if e.op == "and" else disj)(first, self.ground(e.args[1], place))
            case "differ":
                a, b = (self.ground(x, place) for x in e.args)
                return disj(conj(a, neg(b)), conj(neg(a), b))
            case "=" | "<" | "<=":
                op = {"=": Op.EQ, "<": Op.LT, "<=": Op.LE}[e.op]
                return self.algebra.compare(op, *(self.ground(a, place) for a in e.args))
            case "+" | "-" | "%":
                op = {"+": Op.ADD, "-": Op.SUB, "%": Op.MOD}[e.op]
                return self.algebra.arithmetic(op, *(self.ground(a, place) for a in e.args))
            case "if":
                return self.algebra.choose(*(self.ground(a, place) for a in e.args))
            case "path":
                term, body, node = e.args
                inside = self.ground(body, Place("path", {**place.names, term.var: "a"}))
                return E("path", (inside, self.ground(node, place)))
        return self._fold(e, place)

    def _fold(self, e: E, place: Place) -> E:
        gather = e.args[0]
        if gather.over is Range.CHILDREN and place.kind == "leaf":
            return const(0) if e.op == "sum" else FALSE
        if e.op == "matching":
            name = self.folds[E(e.op, e.args[:3])]
            return E("lookup", (E("name", (name,)), self.ground(e.args[3], place)))
        return E("name", (self.folds[e],))

    def _get(self, field: Any, component: Any, tier: Any, of: E, place: Place) -> E:
        element = self.ground(of, place)
        if field is FIELDS[Sort.NODE, "lock"] and place.idle and element == E("name", ("n",)):
            return const(0)
        if field in STRUCTURAL:
            return STRUCTURAL[field](self._met(element, place))
        if field.name in RANKS and self.reading.linked is not None:
            return self._rank(field, component, tier, element)
        return read(self._access(field, component, tier), element)

    def _access(self, field: Field, component: Any, tier: Any) -> Access:
        access = self.algebra.access(make(Get, field, _any(field.owner), component, tier))
        assert access is not None, f"{field.name} is not read"
        return access

    def _rank(self, field: Field, component: Any, tier: Any, element: E) -> E:
        """A rank in a list that was found to be linked: listed nodes have one, and follow the one
        before; as many are met as are registered.
        """
        if field.owner is Sort.TREE:
            return read(self._access(FIELDS[Sort.TREE, "lru_size"], component, tier), element)
        listed = read(self._access(FIELDS[Sort.NODE, "in_lru"], component, tier), element)
        rank = E("rank", (listed,))
        return rank if field.name == "lru_rank" else self.algebra.arithmetic(Op.SUB, rank, const(1))

    def _met(self, element: E, place: Place) -> Met:
        if place.kind in ("child", "leaf") and element == E("name", ("n",)):
            return Met(FALSE, E("name", ("p",)), E("name", ("e",)))
        if place.kind == "root" and element == E("name", ("p",)):
            return Met(TRUE, element, None)
        return Met(read(IS_ROOT, element), read(self.up, element), None)


def read(access: Access, element: E) -> E:
    """The read of `access` on an element, which is a local name or itself a read."""
    if element.op == "name":
        return E("read", (Read(access, element.args[0]),))
    inner = element.args[0]
    assert element.op == "read"
    return E("read", (Read(_on(access, inner.access), inner.of),))


def _on(access: Access, element: Access) -> Access:
    return element if access == ELEMENT else Access(access.template, tuple(_on(p, element) for p in access.parts))


def _any(sort: Sort) -> Var:
    return make(Var, "_", sort)
