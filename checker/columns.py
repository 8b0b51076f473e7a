"""The columns backend: rules on a snapshot, evaluated for all instances at once in torch.

`parent` is a gather, a fold over children a scatter, a sum a reduction, a slot's
owners a bincount. Truths and numbers are tensors over the rows in question, or of
no dimension where they are the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from sanitree.checker.findings import Finding
from sanitree.invariants.rules import Check
from sanitree.invariants.semantics import Algebra, Env, Meaning, Semantics, Truth, Value, is_reference
from sanitree.invariants.terms import Gather, Get, Op, PathSum, Range, Term, walk
from sanitree.invariants.vocabulary import Component, Field, Sort, Tier
from sanitree.models.snapshot import Key, Snapshot, Table


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """References to rows of a table; `index` None stands for every row in order."""

    table: Table
    index: Tensor | None


V = Tensor | Rows


class Evaluator:
    """Judges checks on one snapshot; work shared between checks is done once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._algebra = _Torch(snapshot)
        self._meaning: Semantics[Tensor, V] = Semantics(self._algebra)

    def judge(self, check: Check) -> Finding:
        """The check on every instance: which are violated, how many the unknown decided."""
        rows = self._algebra.scope(check)
        if rows is None or (check.rule.scope is Sort.SLOT and not self._algebra.sees(check, rows)):
            return Finding(check, violated=(), checked=0, unchecked=0, observed=False)
        found = self._meaning.truth(check.term, {check.rule.var: rows})
        count = len(rows.table)
        no, yes = found.no.expand(count), found.yes.expand(count)
        decided = int((no | yes).sum())
        return Finding(check, tuple(no.nonzero().flatten().tolist()), decided, count - decided)

    def table(self, check: Check) -> Table:
        """The table of the check's scope, which must have been observed."""
        rows = self._algebra.scope(check)
        assert rows is not None
        return rows.table

    def value_at(self, term: Term, check: Check, row: int) -> bool | int | None:
        """The value of a part of a check's term at one instance; None where unknown."""
        rows = self._algebra.scope(check)
        assert rows is not None
        found = self._meaning.meaning(term, {check.rule.var: rows})
        shape = (len(rows.table),)
        if isinstance(found, Truth):
            return True if found.yes.expand(shape)[row] else False if found.no.expand(shape)[row] else None
        value = self._algebra.number(found.it).expand(shape)[row]
        return int(value) if found.known.expand(shape)[row] else None


class _Torch(Algebra[Tensor, V]):
    def __init__(self, snapshot: Snapshot) -> None:
        self.s = snapshot
        self.everything: dict[tuple[Sort, str | None, str | None], Rows] = {}

    # Tables.

    def table(self, sort: Sort, component: Component | None = None, tier: Tier | None = None) -> Table | None:
        match sort:
            case Sort.NODE:
                return self.s.nodes
            case Sort.TREE:
                return self.s.tree
            case Sort.TRANSFER:
                return self.s.transfers
            case Sort.REQUEST:
                return self.s.requests
        assert component is not None and tier is not None
        return self.s.slots(component, tier)

    def all_rows(self, sort: Sort, component: Component | None = None, tier: Tier | None = None) -> Rows | None:
        key = (sort, component.name if component else None, tier.value if tier else None)
        if key not in self.everything:
            table = self.table(sort, component, tier)
            if table is None:
                return None
            self.everything[key] = Rows(table, None)
        return self.everything[key]

    def sees(self, check: Check, rows: Rows) -> bool:
        """Whether a table of slots that has no row shows that there is nothing, or that nobody looked."""
        read = {t.field for t in walk(check.term) if isinstance(t, Get) and t.field.owner is Sort.SLOT}
        return len(rows.table) > 0 or all(Key(f.name) in rows.table.columns for f in read)

    def scope(self, check: Check) -> Rows | None:
        return self.all_rows(check.rule.scope, check.component, check.tier)

    def all_rows_of(self, g: Gather) -> Rows | None:
        component, tier = g.pool or (None, None)
        return self.all_rows(g.over.sort, component, tier)  # type: ignore[arg-type]

    def over(self, g: Gather) -> Rows:
        rows = self.all_rows_of(g)
        return rows if rows is not None and self.observed(g) else _UNOBSERVED

    # Two-valued operations.

    def literal(self, value: int) -> Tensor:
        return torch.tensor(value, dtype=torch.int64)

    def truth(self, value: bool) -> Tensor:
        return _YES if value else _NO

    def conj(self, a: Tensor, b: Tensor) -> Tensor:
        if a is _NO or b is _NO:
            return _NO
        return b if a is _YES else a if b is _YES else a & b

    def disj(self, a: Tensor, b: Tensor) -> Tensor:
        if a is _YES or b is _YES:
            return _YES
        return b if a is _NO else a if b is _NO else a | b

    def neg(self, a: Tensor) -> Tensor:
        return _NO if a is _YES else _YES if a is _NO else ~a

    def compare(self, op: Op, a: V, b: V) -> Tensor:
        x, y = self.number(a), self.number(b)
        return x == y if op is Op.EQ else x < y if op is Op.LT else x <= y

    def arithmetic(self, op: Op, a: V, b: V) -> Tensor:
        x, y = self.number(a), self.number(b)
        return x + y if op is Op.ADD else x - y if op is Op.SUB else x % y.clamp(min=1)

    def choose(self, c: Tensor, a: V, b: V) -> Tensor:
        return torch.where(c, self.number(a), self.number(b))

    def number(self, v: V) -> Tensor:
        """A number as it is; a reference as row numbers, so that references compare by row."""
        if isinstance(v, Rows):
            return torch.arange(len(v.table)) if v.index is None else v.index
        return v

    # Elements.

    def read(self, get: Get, of: V) -> Meaning[Tensor, V]:
        assert isinstance(of, Rows)
        key = Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated: no variable left
        column = of.table.columns.get(key)
        if column is None:
            if get.sort is Sort.BOOL:
                return Truth(_NO, _NO)
            it: V = self.literal(0)
            if is_reference(get.sort):
                it = Rows(self.s.nodes, self.literal(0))
            return Value(it, _NO)
        values, known = column.values, _YES if column.known is None else column.known
        if of.index is not None:
            values = values[of.index]
            known = known if known is _YES else known[of.index]
        if get.sort is Sort.BOOL:
            return Truth(self.conj(known, values), self.conj(known, ~values))
        return Value(Rows(self.s.nodes, values) if is_reference(get.sort) else values, known)

    def observed(self, gather: Gather) -> bool:
        rows = self.all_rows_of(gather)
        if rows is None or gather.over is not Range.SLOTS:
            return rows is not None
        # A list that nobody observed may name slots that no other list does.
        return all(Key(f.name) in rows.table.columns for f in _fields_of(gather))

    def element(self, gather: Gather, env: Env[V]) -> Env[V]:
        rows = self.over(gather)
        if gather.over is not Range.CHILDREN:
            return {gather.var: rows}
        # Seen from the child's row, everything outside is found at its parent's.
        up = self.s.parent
        moved = {
            v: Rows(r.table, up if r.index is None else r.index[up]) for v, r in env.items() if isinstance(r, Rows)
        }
        return {**moved, gather.var: rows}

    def any_over(self, gather: Gather, env: Env[V], body: Tensor) -> Tensor:
        if body is _NO:
            return _NO
        rows = len(self.over(gather).table)
        body = body.expand(rows)
        if gather.over is not Range.CHILDREN:
            return body.any()
        found = torch.zeros(rows, dtype=torch.bool)
        found[self.s.parent[1:][body[1:]]] = True
        return found

    def sum_over(self, gather: Gather, env: Env[V], body: V) -> Tensor:
        rows = len(self.over(gather).table)
        each = self.number(body).expand(rows)
        if gather.over is not Range.CHILDREN:
            return each.sum()
        return torch.zeros(rows, dtype=torch.int64).index_add_(0, self.s.parent[1:], each[1:])

    def repeated(self, gather: Gather, env: Env[V], key: V, among: Tensor) -> Tensor:
        rows = len(self.over(gather).table)
        chosen = among.expand(rows).clone()
        keys = self.number(key).expand(rows)
        if gather.over is not Range.CHILDREN:
            picked = keys[chosen]
            return torch.tensor(len(picked.unique()) < len(picked))  # type: ignore[no-untyped-call]
        chosen[0] = False
        parents, keys = self.s.parent[chosen], keys[chosen]
        order = torch.argsort(keys, stable=True)
        order = order[torch.argsort(parents[order], stable=True)]
        parents, keys = parents[order], keys[order]
        found = torch.zeros(rows, dtype=torch.bool)
        found[parents[1:][(parents[1:] == parents[:-1]) & (keys[1:] == keys[:-1])]] = True
        return found

    def matching(self, gather: Gather, env: Env[V], key: V, among: Tensor, value: V) -> Tensor:
        rows = len(self.over(gather).table)
        keys, counts = self.number(key).expand(rows)[among.expand(rows)].unique(return_counts=True)  # type: ignore[no-untyped-call]
        wanted = self.number(value)
        if not len(keys):
            return torch.zeros_like(wanted)
        at = torch.searchsorted(keys, wanted.contiguous()).clamp(max=len(keys) - 1)
        return torch.where(keys[at] == wanted, counts[at], 0)

    def path_sum(self, term: PathSum, node: V, env: Env[V]) -> Value[Tensor, V]:
        each = Semantics(self).value(term.body, {term.var: Rows(self.s.nodes, None)})
        rows = len(self.s.nodes)
        total = self.number(each.it).expand(rows).clone()
        hidden = self.neg(each.known).expand(rows).to(torch.int64).clone()
        total[0] = hidden[0] = 0
        # Pointer jumping: after k rounds a row has summed its 2^k nearest ancestors.
        up = self.s.parent
        while bool(up.any()):
            total, hidden, up = total + total[up], hidden + hidden[up], up[up]
        at = self.number(node)
        return Value(total[at], hidden[at] == 0)


@cache
def _fields_of(gather: Gather) -> frozenset[Field]:
    """The fields that a fold reads of its own elements."""
    parts = (t for part in (gather.where, gather.body) for t in walk(part))
    return frozenset(t.field for t in parts if isinstance(t, Get) and t.of is gather.var)


_YES, _NO = torch.tensor(True), torch.tensor(False)
_UNOBSERVED = Rows(Table(torch.zeros(1, dtype=torch.int64)), None)
