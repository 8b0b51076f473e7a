"""The state after an action of a page: each field that it assigns is another one there, defined by the state before."""

from __future__ import annotations

from sanitree.checker.prove.counting import compare
from sanitree.checker.prove.instances import Said
from sanitree.checker.prove.lemmas import N
from sanitree.checker.prove.order import ROOT, above, differ, joined, named, put, same, shaped, up
from sanitree.checker.prove.relational import Relational
from sanitree.checker.symbolic import E, choose, conj, disj, neg
from sanitree.invariants.terms import Op
from sanitree.models.protocol.system import Action, Assign, Over
from sanitree.models.snapshot import Key

_X = named("_x")
_AFTER = "after"


class After:
    """Formulas about the state after an action of the page N. Where nothing in one changes, it is the same formula."""

    def __init__(self, r: Relational, a: Action) -> None:
        self.assigned: dict[Key, E] = {}
        self._done: dict[E, E] = {}
        self._kept: set[E] = set()
        self._truths = frozenset(k for k in r.rows.flags if r.is_truth(k))
        for assign in a.assigns:
            key = Key.of(assign.target.field.name, assign.target.component, assign.target.tier)  # type: ignore[arg-type]
            where, each = _where(r, assign), None if assign.over is Over.ITSELF else assign.each
            value = r.value(assign.value, _X if each is None else N, each, _X)  # of itself, the two are one
            old = self.assigned.get(key, E("is" if r.is_truth(key) else "count of", (key, _X)))
            if r.is_truth(key):
                self.assigned[key] = disj(conj(where, value), conj(neg(where), old))
            else:
                self.assigned[key] = choose(where, value, old)
        self._grows = not self.assigned.keys().isdisjoint(r.system.exists)

    def __call__(self, e: E) -> E:
        """A formula about the state before, said of the state after."""
        if (found := self._done.get(e)) is None:
            if e.op in ("some", "or") and shaped(e)[0] in self._kept:
                return e
            args = tuple(self(a) if isinstance(a, E) else a for a in e.args)
            if self._changes(e):
                args = (*args, _AFTER)
            found = self._done[e] = e if args == e.args else joined(e.op, args)
        return found

    def keeps(self, e: E) -> None:
        """An expression means the same in both states, whatever pages it is about."""
        self._kept.add(shaped(e)[0])
        self._done.clear()

    def _changes(self, e: E) -> bool:
        match e.op:
            case "is" | "count of":
                return e.args[0] in self.assigned
            case "children's":  # of children that are there
                return self._grows or e.args[0] in self.assigned
            case "unknown":
                return True
        return False

    def number(self, e: E) -> E:
        """A number of the state after, as far as it is known from the state before."""
        if e.op == "count of" and e.args[0] in self.assigned:
            return put(self.assigned[e.args[0]], _X, e.args[1])
        if e.op == "+":
            return E("+", tuple(map(self.number, e.args)))
        return self(e)

    def define(self, i: Said) -> None:
        """What each field that is assigned is in the state after."""
        for key, was in self.assigned.items():
            truth = key in self._truths
            now = E("is" if truth else "count of", (key, _X, _AFTER))
            same_of_root = E(now.op, (key, ROOT, _AFTER)), E(now.op, (key, ROOT))
            i.every(_X, _alike(truth, now, was))
            i.true(_alike(truth, *same_of_root))


def _alike(truth: bool, a: E, b: E) -> E:
    return neg(differ(a, b)) if truth else compare(Op.EQ, a, b)


def _where(r: Relational, assign: Assign) -> E:
    """Of which pages an assignment is."""
    if assign.over is Over.ITSELF:
        return same(_X, N)
    among = above(_X, N) if assign.over is Over.PATH else same(up(_X), N)
    return conj(conj(among, neg(same(_X, ROOT))), r.condition(assign.where, N, assign.each, _X))
