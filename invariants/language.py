"""The surface of the language: what a declaration is written in.

A rule's function is called once, with symbolic elements. What it returns becomes a
term (see `terms`). Expressions overload operators and are nothing else: they can't
be hashed, stored in a set or used as a condition, so that a slip is an error at
its own line instead of a rule that says something else.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from sanitree.invariants.calls import field_named, names_of
from sanitree.invariants.semantics import join_of
from sanitree.invariants.terms import (
    TRUE,
    Apply,
    Const,
    Each,
    Fold,
    Gather,
    Get,
    Known,
    Op,
    PathSum,
    Range,
    SayError,
    Term,
    Var,
    free_variables,
    make,
)
from sanitree.invariants.vocabulary import (
    DEVICE,
    HOST,
    KIND,
    PAGE_SIZE,
    POLICY_IS,
    TIER_IS,
    TRAIT,
    TRAITS,
    Component,
    ComponentVar,
    Index,
    Kind,
    Policy,
    Sort,
    Tier,
    TierVar,
)

ComponentLike = Component | ComponentVar
TierLike = Tier | TierVar


def place_of(frame: Any) -> str:
    """file:line of the nearest frame outside this package's language modules."""
    while (
        frame is not None
        and frame.f_globals.get("__name__", "").startswith("sanitree.invariants.")
        and (frame.f_globals["__name__"].rsplit(".", 1)[1] in ("language", "declare", "steps", "terms", "rules"))
    ):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "<unknown>"


def fail(message: str) -> NoReturn:
    """Raise SayError with the place of the declaration."""
    raise SayError(f"{message}\n  said at {place_of(sys._getframe(1))}")


def _make(kind: type[Any], *args: Any) -> Any:
    try:
        return make(kind, *args)
    except SayError as e:
        fail(str(e))


def _term(x: object) -> Term:
    """The term of anything that may stand in an expression."""
    if isinstance(x, Expr):
        return x.term
    if isinstance(x, Element):
        return x._term
    if isinstance(x, bool | int):
        return make(Const, x)
    fail(f"{x!r} cannot stand in a rule: use fields, numbers, True and False")


class Expr:
    """A truth value or a number, said symbolically."""

    __slots__ = ("term",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, term: Term) -> None:
        self.term = term

    def __bool__(self) -> NoReturn:
        fail("a rule cannot branch on a value: say implies, all_of, any_of, ite instead of if, and, or, not")

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return _apply(Op.EQ, self, other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return ~_apply(Op.EQ, self, other)

    def __lt__(self, other: object) -> Expr:
        return _apply(Op.LT, self, other)

    def __le__(self, other: object) -> Expr:
        return _apply(Op.LE, self, other)

    def __gt__(self, other: object) -> Expr:
        return _apply(Op.LT, other, self)

    def __ge__(self, other: object) -> Expr:
        return _apply(Op.LE, other, self)

    def __and__(self, other: object) -> Expr:
        return _apply(Op.AND, self, other)

    def __or__(self, other: object) -> Expr:
        return _apply(Op.OR, self, other)

    def __rand__(self, other: object) -> NoReturn:
        fail("a comparison beside & or | needs parentheses: (x == 0) & y")

    __ror__ = __rand__

    def __invert__(self) -> Expr:
        return _apply(Op.NOT, self)

    def __add__(self, other: object) -> Expr:
        return _apply(Op.ADD, self, other)

    __radd__ = __add__

    def __sub__(self, other: object) -> Expr:
        return _apply(Op.SUB, self, other)

    def __mod__(self, other: object) -> Expr:
        return _apply(Op.MOD, self, other)


def _apply(op: Op, *args: object) -> Expr:
    return Expr(_make(Apply, op, tuple(_term(a) for a in args)))


_SUGAR = {
    "on_device": ("present", DEVICE),
    "on_host": ("present", HOST),
    "device_tokens": ("tokens", DEVICE),
    "host_tokens": ("tokens", HOST),
    "lock": ("lock", DEVICE),
    "host_lock": ("lock", HOST),
}


class Element:
    """A node, tree, transfer, request or slot, said symbolically: its fields are attributes.

    `n[c]` speaks of a component, `n[c, tier]` of one of its two copies.
    """

    __slots__ = ("_index", "_term")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, term: Term, index: tuple[ComponentLike, TierLike | None] | None = None) -> None:
        self._term = term
        self._index = index

    def __getitem__(self, key: ComponentLike | tuple[ComponentLike, TierLike]) -> Element:
        component, tier = key if isinstance(key, tuple) else (key, None)
        if self._index is not None or not isinstance(component, ComponentLike):
            fail(f"{key!r} is no component: write n[FULL].lock or n[c, tier].tokens")
        return Element(self._term, (component, tier))

    def __getattr__(self, name: str) -> Any:
        component, tier = self._index or (None, None)
        if component is not None and tier is None and name in _SUGAR:
            name, tier = _SUGAR[name]
        field = field_named(self._term.sort, name)
        given = Index.NONE if component is None else Index.COMPONENT if tier is None else Index.COPY
        if field is None or field.index is not given:
            known = names_of(self._term.sort, given)
            if given is Index.COMPONENT and self._term.sort is Sort.NODE:
                known += sorted(_SUGAR)
            fail(f"a {self._term.sort.value} has no field {name!r} by {given.value}; it has {', '.join(known)}")
        term = _make(Get, field, self._term, component, tier)
        return Element(term) if field.sort is Sort.NODE else Expr(term)

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return _apply(Op.EQ, self, other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return ~_apply(Op.EQ, self, other)

    # No element is less than another: said here for an error with its place.
    def __lt__(self, other: object) -> Expr:
        return _apply(Op.LT, self, other)

    def __le__(self, other: object) -> Expr:
        return _apply(Op.LE, self, other)

    def __bool__(self) -> NoReturn:
        fail("a rule cannot branch on an element")


# Words where operators would mislead.


def implies(condition: object, conclusion: object) -> Expr:
    """If `condition`, then `conclusion`."""
    return _apply(Op.IMPLIES, condition, conclusion)


def iff(left: object, right: object) -> Expr:
    """Both or neither."""
    return _apply(Op.IFF, left, right)


def all_of(first: object, *parts: object) -> Expr:
    """Every part."""
    return _apply(Op.AND, first, *parts)


def any_of(first: object, *parts: object) -> Expr:
    """At least one part."""
    return _apply(Op.OR, first, *parts)


def ite(condition: object, then: object, otherwise: object) -> Expr:
    """`then` where `condition` is true, else `otherwise`."""
    return _apply(Op.ITE, condition, then, otherwise)


# Ranges and folds.


class Over:
    """What a fold ranges over."""

    __slots__ = ("parent", "pool", "range")

    def __init__(self, over: Range, parent: Term | None = None, pool: tuple[ComponentLike, TierLike] | None = None):
        self.range, self.parent, self.pool = over, parent, pool


nodes = Over(Range.NODES)
transfers = Over(Range.TRANSFERS)
requests = Over(Range.REQUESTS)


def children(n: Element) -> Over:
    """The children of a node, which is the rule's own or a fold's."""
    if not isinstance(n, Element) or not isinstance(n._term, Var):
        fail("children(n) takes the rule's node or a fold's: say what is true of other nodes' children in a field")
    return Over(Range.CHILDREN, parent=n._term)


def slots(c: ComponentLike, tier: TierLike) -> Over:
    """The slots of a pool that anything observed names: free lists, nodes, requests, transfers."""
    return Over(Range.SLOTS, pool=(c, tier))


Said = Callable[[Any], object]
_open: list[str] = []  # names of the variables in scope, so that none captures another


class naming:  # noqa: N801  reads as a word: with naming(...)
    """Takes names for what is said inside; SayError for one that is taken."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def __enter__(self) -> None:
        for name in self.names:
            if name in _open:
                fail(f"the name {name!r} already stands for another element here")
        _open.extend(self.names)

    def __exit__(self, *_: object) -> None:
        del _open[-len(self.names) :]


def _name_of(said: Said | None) -> str:
    """The name that a function of one element gives it; a free one where there is no function."""
    if said is None:
        return next(n for n in ("it", "it2", "it3", "it4", "it5") if n not in _open)
    return next(iter(inspect.signature(said).parameters))


def _fold(fold: Fold, over: Over, where: Said | None, body: Said | None) -> Expr:
    if not isinstance(over, Over):
        fail(f"{over!r} is no range: use nodes, children(n), transfers, requests or slots(c, tier)")
    name = _name_of(body or where)
    element = Element(make(Var, name, over.range.sort))
    with naming(name):
        w = _term(where(element)) if where else TRUE
        b = _term(body(element)) if body else TRUE
    gather = _make(Gather, fold, over.range, element._term, w, b, over.parent, over.pool)
    try:
        join_of(gather)
    except ValueError as e:
        fail(str(e))
    return Expr(gather)


def every(over: Over, body: Said, where: Said | None = None) -> Expr:
    """`body` of each element for which `where` is true."""
    return _fold(Fold.ALL, over, where, body)


def some(over: Over, body: Said, where: Said | None = None) -> Expr:
    """`body` of at least one element for which `where` is true."""
    return _fold(Fold.SOME, over, where, body)


def count(over: Over, where: Said | None = None) -> Expr:
    """How many elements `where` is true of."""
    return _fold(Fold.COUNT, over, where, None)


def sum_over(over: Over, term: Said, where: Said | None = None) -> Expr:
    """The sum of `term` over the elements that `where` is true of."""
    return _fold(Fold.SUM, over, where, term)


def distinct(over: Over, key: Said, where: Said | None = None) -> Expr:
    """No two of the elements that `where` is true of have the same `key`."""
    return _fold(Fold.DISTINCT, over, where, key)


def path_sum(n: Element, term: Said) -> Expr:
    """The sum of `term` over `n` and its ancestors, the root left out."""
    if not isinstance(n, Element):
        fail(f"path_sum adds up a number along the path to a node, not to {n!r}")
    name = _name_of(term)
    element = Element(make(Var, name, Sort.NODE))
    with naming(name):
        body = _term(term(element))
    if free_variables(body) - {element._term}:
        fail(f"path_sum adds up what {name} alone says: of the nodes on the path, not of others")
    return Expr(_make(PathSum, n._term, element._term, body))


def _each(join: Op, body: Said, kind: Kind) -> Expr:
    name = _name_of(body)
    with naming(name):
        var = ComponentVar(name)
        return Expr(_make(Each, join, kind, var, _term(body(var))))


def every_component(body: Said, kind: Kind = Kind.ANY) -> Expr:
    """`body` of each of the cache's components of a kind."""
    return _each(Op.AND, body, kind)


def some_component(body: Said, kind: Kind = Kind.ANY) -> Expr:
    """`body` of at least one of the cache's components of a kind."""
    return _each(Op.OR, body, kind)


# Settings.

page_size = Expr(make(Known, PAGE_SIZE))


def policy_is(*policies: Policy) -> Expr:
    """The write policy is one of these; at least one must be given."""
    if not policies:
        fail("policy_is takes at least one policy")
    # In the order in which they are declared: a set of them has another order in each process.
    said = [Expr(make(Known, POLICY_IS, p)) for p in Policy if p in policies]
    return any_of(*said) if len(said) > 1 else said[0]


def trait(name: str) -> Expr:
    """The engine has a trait; see `vocabulary.TRAITS`."""
    if name not in TRAITS:
        fail(f"no trait is called {name!r}; there are {', '.join(TRAITS)}")
    return Expr(make(Known, TRAIT, name))


def is_kind(c: ComponentLike, kind: Kind) -> Expr:
    """The component is of a kind."""
    return Expr(make(Known, KIND, (c, kind)))


def is_tier(t: TierLike, tier: Tier) -> Expr:
    """The tier is the one named."""
    return Expr(make(Known, TIER_IS, (t, tier)))


always = Expr(TRUE)
