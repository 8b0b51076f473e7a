"""What a term means, said once: a fold over an algebra, in Kleene's three values.

A backend is an `Algebra`: how it represents truth values, numbers and references
to elements, and a handful of two-valued operations on them. Everything about the
unknown is here. A truth value is a pair (known to be true, known to be false); a
number or a reference is a value with whether it is known. An instance that the
unknown decides is neither true nor false: it is not checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Generic, Protocol, TypeVar

from sanitree.invariants.terms import (
    TRUE,
    Apply,
    At,
    Const,
    Fold,
    Gather,
    Get,
    Moment,
    Op,
    PathSum,
    Range,
    Term,
    Var,
    free_variables,
    make,
)
from sanitree.invariants.vocabulary import Sort

B = TypeVar("B")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Truth(Generic[B]):
    """`yes`: known to hold. `no`: known not to hold. Neither: unknown."""

    yes: B
    no: B


@dataclass(frozen=True, slots=True)
class Value(Generic[B, V]):
    """A number or a reference, and whether it is known. Where it is not, `it` means nothing."""

    it: V
    known: B


Meaning = Truth[B] | Value[B, V]
Env = Mapping[Var, V]


class Algebra(Protocol[B, V]):
    """A backend's operations. `B` are its two-valued truths, `V` its numbers and references."""

    def literal(self, value: int) -> V: ...
    def truth(self, value: bool) -> B: ...
    def conj(self, a: B, b: B) -> B: ...
    def disj(self, a: B, b: B) -> B: ...
    def neg(self, a: B) -> B: ...
    def compare(self, op: Op, a: V, b: V) -> B: ...
    def arithmetic(self, op: Op, a: V, b: V) -> V: ...
    def choose(self, c: B, a: V, b: V) -> V: ...

    def read(self, get: Get, of: V) -> Meaning[B, V]:
        """A field of the element that `of` refers to."""

    def at(self, moment: Moment, of: V) -> V:
        """The same element in the state before or after a call; only an algebra of steps has two."""
        raise AssertionError("a state has one moment")

    def observed(self, gather: Gather) -> bool:
        """Whether the range was observed. If not, it has one element, of which nothing is known."""

    def element(self, gather: Gather, env: Env[V]) -> Env[V]:
        """`env` with the gather's variable standing for each element of its range."""

    def any_over(self, gather: Gather, env: Env[V], body: B) -> B:
        """Whether `body` is true of an element of the range."""

    def sum_over(self, gather: Gather, env: Env[V], body: V) -> V:
        """The sum of `body` over the range."""

    def repeated(self, gather: Gather, env: Env[V], key: V, among: B) -> B:
        """Whether two of the elements that `among` is true of have the same key."""

    def matching(self, gather: Gather, env: Env[V], key: V, among: B, value: V) -> V:
        """How many of the elements that `among` is true of have `value` as their key.

        `value` belongs to `env`, `key` and `among` to the elements; neither mentions the other.
        """

    def path_sum(self, term: PathSum, node: V, env: Env[V]) -> Value[B, V]:
        """The sum along the path to `node`, the root left out."""


class Semantics(Generic[B, V]):
    """Evaluates terms in one algebra, each subterm once for each environment."""

    def __init__(self, algebra: Algebra[B, V]) -> None:
        self.a = algebra
        # The environment is kept with its meaning, so that an id in a key stays taken.
        self._done: dict[tuple[object, ...], tuple[Meaning[B, V], Env[V]]] = {}

    def truth(self, term: Term, env: Env[V]) -> Truth[B]:
        """The meaning of a term of sort BOOL."""
        found = self.meaning(term, env)
        assert isinstance(found, Truth)
        return found

    def value(self, term: Term, env: Env[V]) -> Value[B, V]:
        """The meaning of a term of any other sort."""
        found = self.meaning(term, env)
        assert isinstance(found, Value)
        return found

    def meaning(self, term: Term, env: Env[V]) -> Meaning[B, V]:
        """The meaning of any term where `env` gives its free variables."""
        key = (term, *(id(env[v]) for v in in_order(term)))
        found = self._done.get(key)
        if found is None:
            found = self._done[key] = self._meaning(term, env), env
        return found[0]

    def _meaning(self, term: Term, env: Env[V]) -> Meaning[B, V]:
        a = self.a
        match term:
            case Const(bool(b)):
                return Truth(a.truth(b), a.truth(not b))
            case Const(i):
                return Value(a.literal(i), a.truth(True))
            case Var():
                return Value(env[term], a.truth(True))
            case Get():
                of = self.value(term.of, env)
                found = a.read(term, of.it)
                if isinstance(found, Truth):
                    return Truth(a.conj(of.known, found.yes), a.conj(of.known, found.no))
                return Value(found.it, a.conj(of.known, found.known))
            case At():
                of = self.value(term.of, env)
                return Value(a.at(term.moment, of.it), of.known)
            case Apply():
                return self._apply(term, env)
            case Gather():
                return self._gather(term, env)
            case PathSum():
                node = self.value(term.node, env)
                total = a.path_sum(term, node.it, env)
                return Value(total.it, a.conj(node.known, total.known))
        raise AssertionError(f"{type(term).__name__} has no meaning before it is instantiated")

    def _apply(self, term: Apply, env: Env[V]) -> Meaning[B, V]:
        a, args = self.a, term.args
        match term.op:
            case Op.NOT:
                x = self.truth(args[0], env)
                return Truth(x.no, x.yes)
            case Op.AND:
                return self._all([self.truth(x, env) for x in args])
            case Op.OR:
                return self._flip(self._all([self._flip(self.truth(x, env)) for x in args]))
            case Op.IMPLIES:
                p, q = (self.truth(x, env) for x in args)
                return Truth(a.disj(p.no, q.yes), a.conj(p.yes, q.no))
            case Op.IFF:
                p, q = (self.truth(x, env) for x in args)
                return Truth(
                    a.disj(a.conj(p.yes, q.yes), a.conj(p.no, q.no)), a.disj(a.conj(p.yes, q.no), a.conj(p.no, q.yes))
                )
            case Op.EQ | Op.LT | Op.LE:
                u, v = (self.value(x, env) for x in args)
                known, holds = a.conj(u.known, v.known), a.compare(term.op, u.it, v.it)
                return Truth(a.conj(known, holds), a.conj(known, a.neg(holds)))
            case Op.ITE:
                c = self.truth(args[0], env)
                u, v = (self.value(x, env) for x in args[1:])
                return Value(a.choose(c.yes, u.it, v.it), a.disj(a.conj(c.yes, u.known), a.conj(c.no, v.known)))
            case _:
                u, v = (self.value(x, env) for x in args)
                return Value(a.arithmetic(term.op, u.it, v.it), a.conj(u.known, v.known))

    def _all(self, parts: list[Truth[B]]) -> Truth[B]:
        yes, no = self.a.truth(True), self.a.truth(False)
        for p in parts:
            yes, no = self.a.conj(yes, p.yes), self.a.disj(no, p.no)
        return Truth(yes, no)

    @staticmethod
    def _flip(x: Truth[B]) -> Truth[B]:
        return Truth(x.no, x.yes)

    def _gather(self, g: Gather, env: Env[V]) -> Meaning[B, V]:
        a = self.a
        if join := join_of(g):
            return self._join(g, join, env)
        inner = a.element(g, env)
        where = self._where(g, g.where, inner)
        unsure = a.neg(a.disj(where.yes, where.no))
        match g.fold:
            case Fold.SOME | Fold.ALL:
                body = self.truth(g.body, inner)
                if g.fold is Fold.ALL:
                    body = self._flip(body)
                found = a.any_over(g, env, a.conj(where.yes, body.yes))
                maybe = a.any_over(g, env, a.neg(a.disj(where.no, body.no)))
                result = Truth(found, a.neg(maybe))
                return self._flip(result) if g.fold is Fold.ALL else result
            case Fold.COUNT:
                one, zero = a.literal(1), a.literal(0)
                total = a.sum_over(g, env, a.choose(where.yes, one, zero))
                return Value(total, a.neg(a.any_over(g, env, unsure)))
            case Fold.SUM:
                item = self.value(g.body, inner)
                total = a.sum_over(g, env, a.choose(where.yes, item.it, a.literal(0)))
                hazy = a.disj(unsure, a.conj(where.yes, a.neg(item.known)))
                return Value(total, a.neg(a.any_over(g, env, hazy)))
            case Fold.DISTINCT:
                key = self.value(g.body, inner)
                twice = a.repeated(g, env, key.it, a.conj(where.yes, key.known))
                hazy = a.neg(a.disj(where.no, a.conj(where.yes, key.known)))
                return Truth(a.neg(a.disj(twice, a.any_over(g, env, hazy))), twice)

    def _where(self, g: Gather, condition: Term, inner: Env[V]) -> Truth[B]:
        unknown = self.a.truth(False)
        return self.truth(condition, inner) if self.a.observed(g) else Truth(unknown, unknown)

    def _join(self, g: Gather, join: Join, env: Env[V]) -> Meaning[B, V]:
        """A fold whose elements meet the outer element in one equation: counted by key, never in pairs."""
        a = self.a
        inner = a.element(g, env)
        closed, key = self._where(g, join.closed, inner), self.value(join.key, inner)
        value = self.value(join.value, env)
        possible = a.neg(closed.no)
        sure = a.matching(g, env, key.it, a.conj(closed.yes, key.known), value.it)
        may = a.matching(g, env, key.it, a.conj(possible, key.known), value.it)
        unkeyed = a.any_over(g, env, a.conj(possible, a.neg(key.known)))
        nobody = a.neg(a.any_over(g, env, possible))
        if g.fold is Fold.COUNT:
            exact = a.conj(a.compare(Op.EQ, sure, may), a.neg(unkeyed))
            return Value(sure, a.disj(nobody, a.conj(value.known, exact)))
        some = a.conj(value.known, a.compare(Op.LT, a.literal(0), sure))
        none = a.conj(value.known, a.conj(a.compare(Op.EQ, may, a.literal(0)), a.neg(unkeyed)))
        return Truth(some, a.disj(nobody, none))


@dataclass(frozen=True, slots=True)
class Join:
    """`closed` and key(element) = value(outside): the one shape in which a global fold may look outside."""

    closed: Term
    key: Term
    value: Term


def join_of(g: Gather) -> Join | None:
    """How a fold meets the elements outside it; None for a fold that does not look outside, or over children.

    Raises ValueError where it looks outside in another way than one equation.
    """
    if g.over is Range.CHILDREN:
        return None
    outside = (free_variables(g.where) | free_variables(g.body)) - {g.var}
    if not outside:
        return None
    closed: list[Term] = []
    found: list[tuple[Term, Term]] = []
    parts = [g.where, g.body] if g.fold is Fold.SOME else [g.where]
    stack = list(parts)
    while stack:
        t = stack.pop()
        if isinstance(t, Apply) and t.op is Op.AND:
            stack.extend(t.args)
            continue
        free = free_variables(t)
        if free <= {g.var}:
            closed.append(t)
            continue
        sides = t.args if isinstance(t, Apply) and t.op is Op.EQ else ()
        keys = [s for s in sides if free_variables(s) == {g.var}]
        values = [s for s in sides if g.var not in free_variables(s)]
        if len(keys) != 1 or len(values) != 1:
            break
        found.append((keys[0], values[0]))
    else:
        if len(found) == 1 and g.fold in (Fold.SOME, Fold.COUNT):
            kept = tuple(t for t in closed if t is not TRUE)
            whole = TRUE if not kept else kept[0] if len(kept) == 1 else make(Apply, Op.AND, kept)
            return Join(whole, *found[0])
    raise ValueError(
        f"a fold over {g.over.value} may mention {', '.join(v.name for v in outside)} only in one equation, "
        "as in some(transfers, lambda x: x.ack == n.write_ack); say it with count, some or a field"
    )


@cache  # terms are interned and never change
def in_order(term: Term) -> tuple[Var, ...]:
    """A term's free variables, in one order."""
    return tuple(sorted(free_variables(term), key=lambda v: v.name))


def is_reference(sort: Sort) -> bool:
    """Whether a value of this sort refers to an element."""
    return sort not in (Sort.BOOL, Sort.INT)
