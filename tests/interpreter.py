"""What a term means, said a second time: element by element on plain lists, slowly, with None for the unknown.

The oracle of the backends. It shares nothing with them but the terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sanitree.invariants.rules import Check
from sanitree.invariants.terms import Apply, Const, Fold, Gather, Get, Op, PathSum, Range, Term, Var, walk
from sanitree.invariants.vocabulary import Component, Sort, Tier
from sanitree.models.snapshot import Key
from tests.drafts import Draft, Sheet

Answer = bool | int | None
Env = Mapping[Var, int | None]


class Interpreter:
    """Terms on one draft. An element is the row of its table; an unknown one is None."""

    def __init__(self, d: Draft) -> None:
        self.d = d
        self.pools: dict[tuple[str, str], Sheet] = {}
        self.pool_of: dict[Var, tuple[Component, Tier]] = {}

    def judge(self, check: Check) -> list[Answer] | None:
        """The check's answer at each instance; None where its scope was not observed."""
        if check.rule.scope is Sort.SLOT:
            assert check.component
            assert check.tier
            self.pool_of[check.rule.var] = check.component, check.tier
        sheet = self.sheet(check.rule.var)
        if sheet is None:
            return None
        if check.rule.scope is Sort.SLOT and not len(sheet):
            # No slot is named: by nobody, or by nobody who was observed.
            read = {t.field.name for t in walk(check.term) if isinstance(t, Get) and t.field.owner is Sort.SLOT}
            if not all(Key(name) in sheet.columns for name in read):
                return None
        return [self.value(check.term, {check.rule.var: row}) for row in range(len(sheet))]

    def sheet(self, var: Var) -> Sheet | None:
        return self.slots(*self.pool_of[var]) if var.sort is Sort.SLOT else self.d.sheet(var.sort)

    def slots(self, c: Component, t: Tier) -> Sheet:
        key = c.name, t.value
        if key not in self.pools:
            self.pools[key] = self.d.slots(c, t)
        return self.pools[key]

    def value(self, term: Term, env: Env) -> Any:
        match term:
            case Const(value):
                return value
            case Var():
                return env[term]
            case Get():
                return self.get(term, env)
            case Apply():
                return self.apply(term.op, [self.value(a, env) for a in term.args])
            case Gather():
                return self.fold(term, env)
            case PathSum():
                node = self.value(term.node, env)
                return (
                    None if node is None else total([self.value(term.body, {term.var: r}) for r in self.d.path(node)])
                )
        raise AssertionError(term)

    def get(self, term: Get, env: Env) -> Any:
        row = self.value(term.of, env)
        sheet = self.d.nodes
        if isinstance(term.of, Var):
            found = self.sheet(term.of)
            if found is None:
                return None
            sheet = found
        c, t = term.component, term.tier
        key = Key(
            term.field.name, c.name if isinstance(c, Component) else None, t.value if isinstance(t, Tier) else None
        )
        if row is None or key not in sheet.columns:
            return None
        if key in sheet.known and not sheet.known[key][row]:
            return None
        return sheet.columns[key][row]

    def apply(self, op: Op, a: list[Any]) -> Any:
        match op:
            case Op.NOT:
                return None if a[0] is None else not a[0]
            case Op.AND:
                return all_true(a)
            case Op.OR:
                return some_true(a)
            case Op.IMPLIES:
                return some_true([None if a[0] is None else not a[0], a[1]])
            case Op.ITE:
                return None if a[0] is None else a[1] if a[0] else a[2]
        if None in a:
            return None
        match op:
            case Op.IFF | Op.EQ:
                return a[0] == a[1]
            case Op.LT:
                return a[0] < a[1]
            case Op.LE:
                return a[0] <= a[1]
            case Op.ADD:
                return a[0] + a[1]
            case Op.SUB:
                return a[0] - a[1]
            case Op.MOD:
                return a[0] % max(a[1], 1)
        raise AssertionError(op)

    def fold(self, g: Gather, env: Env) -> Any:
        rows = self.rows(g, env)
        if rows is None:  # one element, of which nothing is known
            found = [(None, self.value(g.body, {**env, g.var: None}))]
        else:
            inner = [{**env, g.var: row} for row in rows]
            found = [(self.value(g.where, e), self.value(g.body, e)) for e in inner]
        match g.fold:
            case Fold.SOME:
                return some_true([all_true([where, body]) for where, body in found])
            case Fold.ALL:
                return all_true([some_true([None if w is None else not w, body]) for w, body in found])
            case Fold.COUNT:
                return total([None if where is None else int(where) for where, _ in found])
            case Fold.SUM:
                return total([None if where is None else body if where else 0 for where, body in found])
            case Fold.DISTINCT:
                keys = [key for where, key in found if where and key is not None]
                if len(set(keys)) < len(keys):
                    return False
                return None if any(where is None or (where and key is None) for where, key in found) else True

    def rows(self, g: Gather, env: Env) -> list[int] | None:
        if g.over is Range.CHILDREN:
            assert g.parent is not None
            parent = self.value(g.parent, env)
            return None if parent is None else self.d.children(parent)
        if g.over is Range.SLOTS:
            self.pool_of[g.var] = g.pool  # type: ignore[assignment]
            sheet = self.slots(*g.pool)  # type: ignore[misc]
            # A list that nobody observed may name slots that are in no other.
            asked = [
                t.field.name for part in (g.where, g.body) for t in walk(part) if isinstance(t, Get) and t.of is g.var
            ]
            if any(Key(name) not in sheet.columns for name in asked):
                return None
            return list(range(len(sheet)))
        found = self.d.sheet(g.var.sort)
        return None if found is None else list(range(len(found)))


def all_true(parts: list[Answer]) -> Answer:
    return False if False in parts else None if None in parts else True


def some_true(parts: list[Answer]) -> Answer:
    return True if True in parts else None if None in parts else False


def total(parts: list[int | None]) -> int | None:
    return None if any(p is None for p in parts) else sum(p for p in parts if p is not None)
