"""Terms: what a rule says, as immutable data.

A term is a tree of a few kinds of node. Terms are interned: the same text is the
same object, so equality is identity, hashing is free and a compiler can share
work between rules. Nothing here overloads an operator; the surface that does is
in `language`, and what a term means is in `semantics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from sanitree.invariants.vocabulary import (
    Component,
    ComponentVar,
    Field,
    Kind,
    Setting,
    Sort,
    Tier,
    TierVar,
)


class SayError(TypeError):
    """A declaration says something the language cannot mean.

    The message ends with the file and line of the declaration.
    """


class Op(Enum):
    """Operators, by the number and sort of their arguments."""

    NOT = "not"
    AND = "and"
    OR = "or"
    IMPLIES = "implies"
    IFF = "iff"
    EQ = "="
    LT = "<"
    LE = "<="
    ADD = "+"
    SUB = "-"
    MOD = "mod"
    ITE = "ite"


class Fold(Enum):
    """Ways to gather a body over a range."""

    ALL = "all"
    SOME = "some"
    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"


class Range(Enum):
    """What a fold ranges over. `CHILDREN` has a parent, `SLOTS` a pool; the others are the tree's."""

    NODES = "nodes"
    CHILDREN = "children"
    TRANSFERS = "transfers"
    REQUESTS = "requests"
    SLOTS = "slots"

    @property
    def sort(self) -> Sort:
        return _ELEMENT[self]


_ELEMENT = {
    Range.NODES: Sort.NODE,
    Range.CHILDREN: Sort.NODE,
    Range.TRANSFERS: Sort.TRANSFER,
    Range.REQUESTS: Sort.REQUEST,
    Range.SLOTS: Sort.SLOT,
}


class Moment(Enum):
    """The two states that a step rule sees: the one before the call, and the one after it."""

    BEFORE = "before"
    AFTER = "after"


ComponentRef = Component | ComponentVar
TierRef = Tier | TierVar


@dataclass(frozen=True, eq=False, slots=True)
class Term:
    """Base of all terms. Equality is identity; build terms only through `make`."""

    @property
    def sort(self) -> Sort:
        raise NotImplementedError

    def __bool__(self) -> bool:
        raise SayError("a term has no truth value of its own: compile it, or compare with `is`")


@dataclass(frozen=True, eq=False, slots=True)
class Const(Term):
    """A literal: a bool or an int."""

    value: bool | int

    @property
    def sort(self) -> Sort:
        return Sort.BOOL if isinstance(self.value, bool) else Sort.INT


@dataclass(frozen=True, eq=False, slots=True)
class Var(Term):
    """The element a scope or a fold ranges over. Unique within its rule by number."""

    name: str
    of: Sort

    @property
    def sort(self) -> Sort:
        return self.of


@dataclass(frozen=True, eq=False, slots=True)
class Known(Term):
    """A value fixed for a whole check: policy, trait, page size; or a trait of a component."""

    setting: Setting
    argument: object = None

    @property
    def sort(self) -> Sort:
        return self.setting.sort


@dataclass(frozen=True, eq=False, slots=True)
class Get(Term):
    """A field of an element, with the component and tier it is indexed by."""

    field: Field
    of: Term
    component: ComponentRef | None = None
    tier: TierRef | None = None

    @property
    def sort(self) -> Sort:
        return self.field.sort


@dataclass(frozen=True, eq=False, slots=True)
class At(Term):
    """The same element as it was before the call, or as it is after it. Only in steps."""

    moment: Moment
    of: Term

    @property
    def sort(self) -> Sort:
        return self.of.sort


@dataclass(frozen=True, eq=False, slots=True)
class Apply(Term):
    """An operator applied to its arguments."""

    op: Op
    args: tuple[Term, ...]

    @property
    def sort(self) -> Sort:
        if self.op in (Op.ADD, Op.SUB, Op.MOD):
            return Sort.INT
        return self.args[1].sort if self.op is Op.ITE else Sort.BOOL


@dataclass(frozen=True, eq=False, slots=True)
class Gather(Term):
    """A fold of `body` over the elements of a range for which `where` is true."""

    fold: Fold
    over: Range
    var: Var
    where: Term
    body: Term
    parent: Term | None = None
    pool: tuple[ComponentRef, TierRef] | None = None

    @property
    def sort(self) -> Sort:
        return Sort.INT if self.fold in (Fold.COUNT, Fold.SUM) else Sort.BOOL


@dataclass(frozen=True, eq=False, slots=True)
class PathSum(Term):
    """The sum of `body` over `node` and its ancestors, the root left out."""

    node: Term
    var: Var
    body: Term

    @property
    def sort(self) -> Sort:
        return Sort.INT


@dataclass(frozen=True, eq=False, slots=True)
class Each(Term):
    """`body` for every component of a kind, joined by AND or OR. Gone once instantiated."""

    join: Op
    kind: Kind
    var: ComponentVar
    body: Term

    @property
    def sort(self) -> Sort:
        return Sort.BOOL


T = TypeVar("T", bound=Term)
_INTERNED: dict[tuple[Any, ...], Term] = {}


def make(kind: type[T], *args: Any) -> T:
    """The one term of this kind with these arguments. Sorts are checked on first use.

    Raises SayError if the sorts do not fit.
    """
    # True == 1 in Python, so a literal's type is part of its identity.
    key = (kind, type(args[0]), *args)
    found = _INTERNED.get(key)
    if found is None:
        found = kind(*args)
        _check_sorts(found)
        found = _INTERNED.setdefault(key, found)  # another thread may have made it meanwhile
    return found  # type: ignore[return-value]


def _check_sorts(term: Term) -> None:
    match term:
        case Get(field, of):
            if of.sort is not field.owner:
                raise SayError(f"{field.name} is a field of a {field.owner.value}, not of a {of.sort.value}")
        case At(_, of):
            if of.sort in (Sort.BOOL, Sort.INT, Sort.CALL):
                raise SayError(f"a {of.sort.value} has no moment: say before(n).field, of an element")
        case Apply(Op.AND | Op.OR | Op.NOT | Op.IMPLIES | Op.IFF, args):
            for a in args:
                if a.sort is not Sort.BOOL:
                    raise SayError(f"{term.op.value} takes truth values, not a {a.sort.value}")
        case Apply(Op.EQ, (a, b)):
            if a.sort is not b.sort or a.sort is Sort.BOOL:
                hint = "; say iff" if a.sort is b.sort else ""
                raise SayError(f"= compares two values of one sort, not {a.sort.value} and {b.sort.value}{hint}")
        case Apply(Op.ITE, (c, a, b)):
            if c.sort is not Sort.BOOL or a.sort is not b.sort:
                raise SayError("ite takes a condition and two values of one sort")
            if a.sort is Sort.BOOL:
                raise SayError("ite chooses between numbers: of truth values say implies(c, a) & implies(~c, b)")
        case Apply(Op.MOD, (a, b)):
            if a.sort is not Sort.INT or not isinstance(b, Const | Known):
                raise SayError("mod divides a number by a setting or a literal")
        case Apply(op, args):
            for a in args:
                if a.sort is not Sort.INT:
                    raise SayError(f"{op.value} takes numbers, not a {a.sort.value}")
        case Gather():
            wanted = Sort.INT if term.fold in (Fold.SUM, Fold.DISTINCT) else Sort.BOOL
            if term.where.sort is not Sort.BOOL or term.body.sort is not wanted:
                raise SayError(f"{term.fold.value} gathers a {wanted.value}, not a {term.body.sort.value}")
        case PathSum():
            if term.node.sort is not Sort.NODE or term.body.sort is not Sort.INT:
                raise SayError("path_sum adds up a number along the path to a node")
        case Each():
            if term.body.sort is not Sort.BOOL:
                raise SayError(f"every and some component take a truth value, not a {term.body.sort.value}")


TRUE = make(Const, True)
FALSE = make(Const, False)


def children_of(term: Term) -> tuple[Term, ...]:
    """The direct subterms, in reading order."""
    match term:
        case Get() | At():
            return (term.of,)
        case Apply():
            return term.args
        case Gather():
            first = () if term.parent is None else (term.parent,)
            return (*first, term.where, term.body)
        case PathSum():
            return (term.node, term.body)
        case Each():
            return (term.body,)
    return ()


def walk(term: Term) -> Iterator[Term]:
    """The term and all its subterms, outermost first."""
    stack = [term]
    while stack:
        t = stack.pop()
        yield t
        stack.extend(reversed(children_of(t)))


@cache  # terms are interned and never change
def free_variables(term: Term) -> frozenset[Var]:
    """The variables that no fold inside `term` binds."""
    match term:
        case Var():
            return frozenset({term})
        case Gather():
            inner = free_variables(term.where) | free_variables(term.body)
            outer = free_variables(term.parent) if term.parent is not None else frozenset()
            return outer | (inner - {term.var})
        case PathSum():
            return free_variables(term.node) | (free_variables(term.body) - {term.var})
    return frozenset().union(*(free_variables(c) for c in children_of(term)))


def rebuild(term: Term, change: Callable[[Term], Term]) -> Term:
    """`term` with `change` applied to every subterm, innermost first."""
    if isinstance(term, Var | Const | Known):
        return change(term)
    return change(with_parts(term, lambda t: rebuild(t, change)))


def with_parts(term: Term, change: Callable[[Term], Term]) -> Term:
    """`term` with `change` applied to its direct subterms."""
    parts: list[Any] = []
    for f in fields(term):
        value = getattr(term, f.name)
        if isinstance(value, Term):
            value = change(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Term):
            value = tuple(change(v) for v in value)
        parts.append(value)
    return make(type(term), *parts)
