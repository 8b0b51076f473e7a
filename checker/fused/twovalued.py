"""Terms as expressions over the fields that one adapter reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sanitree.checker.symbolic import FALSE, TRUE, E, Expressions, choose, compared, computed, const, neg
from sanitree.invariants.semantics import Env, Meaning, Semantics, Truth, Value
from sanitree.invariants.terms import Gather, Get, Op, PathSum, Var
from sanitree.invariants.vocabulary import FIELDS, Component, Field, Sort, Tier
from sanitree.models.reading import Access, Reading


class TwoValued(Expressions[E]):
    """The algebra of expressions; knows which fields the adapter reads."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def literal(self, value: int) -> E:
        return const(int(value))

    def compare(self, op: Op, a: E, b: E) -> E:
        # Of a rank in a list that is linked, the sign is known without counting.
        if (a, op, b.op) == (const(0), Op.LE, "rank"):
            return b.args[0]  # type: ignore[no-any-return]
        if (a.op, op, b) == ("rank", Op.LT, const(0)):
            return neg(a.args[0])
        return compared(op, a, b)

    def arithmetic(self, op: Op, a: E, b: E) -> E:
        return computed(op, a, b)

    def choose(self, c: E, a: E, b: E) -> E:
        return choose(c, a, b)

    def read(self, get: Get, of: E) -> Meaning[E, E]:
        assert not isinstance(get.component, str)
        seen = get.field in STRUCTURAL or self.access(get) is not None
        it = E("get", (get.field, get.component, get.tier, of))
        if get.sort is Sort.BOOL:
            return Truth(it, neg(it)) if seen else Truth(FALSE, FALSE)
        return Value(it if seen else const(0), const(seen))

    def access(self, get: Get) -> Access | None:
        where = self.reading.fields.get(get.field)
        if where is None or not self._seen(get.field.owner):
            return None
        component = get.component if isinstance(get.component, Component) else None
        return where(component, get.tier if isinstance(get.tier, Tier) else None)

    def observed(self, gather: Gather) -> bool:
        return self._seen(gather.over.sort)

    def _seen(self, sort: Sort) -> bool:
        """Whether there are elements to look at: the transfers or requests of some caches nobody can see."""
        lists = {Sort.TRANSFER: self.reading.transfers, Sort.REQUEST: self.reading.requests}
        return sort not in lists or lists[sort] is not None

    def element(self, gather: Gather, env: Env[E]) -> Env[E]:
        return {**env, gather.var: variable(gather.var)}

    def any_over(self, gather: Gather, env: Env[E], body: E) -> E:
        if not self.observed(gather):
            return body
        return body if body == FALSE else E("any", (gather, body))

    def sum_over(self, gather: Gather, env: Env[E], body: E) -> E:
        return body if body == const(0) or not self.observed(gather) else E("sum", (gather, body))

    def repeated(self, gather: Gather, env: Env[E], key: E, among: E) -> E:
        return FALSE if among == FALSE or not self.observed(gather) else E("repeated", (gather, key, among))

    def matching(self, gather: Gather, env: Env[E], key: E, among: E, value: E) -> E:
        if among == FALSE or not self.observed(gather):
            return const(0)
        return E("matching", (gather, key, among, value))

    def path_sum(self, term: PathSum, node: E, env: Env[E]) -> Value[E, E]:
        body = Semantics(self).value(term.body, {term.var: variable(term.var)})
        return Value(E("path", (term, body.it, node)), body.known)


def variable(var: Var) -> E:
    """The expression that stands for an element."""
    return E("var", (var,))


@dataclass(frozen=True, slots=True)
class Met:
    """A node at a place in the walk: whether it is the root, its parent, and the edge by which a child is met there."""

    is_root: E
    parent: E
    edge: E | None


def _edge(m: Met) -> E:
    assert m.edge is not None, "an edge is only known where the child is met"
    return m.edge


STRUCTURAL: Mapping[Field, Callable[[Met], E]] = {
    FIELDS[Sort.NODE, name]: say
    for name, say in {
        "is_root": lambda m: m.is_root,
        "parent": lambda m: m.parent,
        "parent_link": lambda m: m.parent,
        "has_parent_link": lambda m: neg(m.is_root),
        "references": lambda m: choose(m.is_root, const(0), const(1)),
        "edge": _edge,
        "readable": lambda m: TRUE,
    }.items()
}
"""What the walk establishes, for every adapter: each child is met at its own parent, once, or the pass ends."""
