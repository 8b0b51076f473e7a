"""The columns backend: rules on a snapshot, evaluated for all instances at once in torch.

`parent` is a gather, a fold over children a scatter, a sum a reduction, a slot's
owners a bincount. Truths and numbers are tensors over the rows in question, or of
no dimension where they are the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from sanitree.checker.findings import Finding
from sanitree.invariants.rules import Check
from sanitree.invariants.semantics import Algebra, Env, Meaning, Semantics, Truth, Value, is_reference
from sanitree.invariants.steps import CALL
from sanitree.invariants.terms import At, Gather, Get, Moment, Op, PathSum, Range, Term, Var, walk
from sanitree.invariants.vocabulary import Component, Field, Sort, Tier
from sanitree.models.snapshot import Column, Key, Snapshot, Table
from sanitree.models.step import Frame, Step

Place = tuple[Sort, Component | None, Tier | None]
"""A table: of a sort, and for slots of a pool."""


class State(Protocol):
    """The tables of one state: a snapshot's, or one of a step's two."""

    @property
    def nodes(self) -> Table: ...
    @property
    def tree(self) -> Table: ...
    @property
    def transfers(self) -> Table | None: ...
    @property
    def requests(self) -> Table | None: ...
    def slots(self, component: Component, tier: Tier) -> Table: ...


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """References to rows of a table; `index` None stands for every row in order."""

    table: Table
    index: Tensor | None
    place: Place
    state: State


V = Tensor | Rows


class Evaluator:
    """Judges checks on one snapshot, or on one step; work shared between checks is done once."""

    def __init__(self, seen: Snapshot | Step, frames: tuple[Frame, Frame] | None = None) -> None:
        self.seen = seen
        if isinstance(seen, Snapshot):
            self._algebra = _Torch(seen, seen.parent)
        else:
            self._algebra = _TorchOfStep(*(frames or seen.frames()), seen.told)
        self._meaning: Semantics[Tensor, V] = Semantics(self._algebra)

    @property
    def snapshot(self) -> Snapshot:
        """What was judged; of a step the state after it."""
        return self.seen if isinstance(self.seen, Snapshot) else self.seen.after

    def node(self, row: int) -> tuple[Snapshot, int]:
        """A row of the nodes as one of a snapshot: of a step's two, the later one that has the node."""
        if isinstance(self.seen, Snapshot):
            return self.seen, row
        earlier, later = (int(at[row]) for at in self.seen.nodes.at)
        return (self.seen.after, later) if later >= 0 else (self.seen.before, earlier)

    def judge(self, check: Check) -> Finding:
        """The check on every instance: which are violated, how many the unknown decided."""
        rows = self._algebra.scope(check)
        if rows is None or (check.rule.scope is Sort.SLOT and not self._algebra.sees(check, rows)):
            return Finding(check, violated=(), checked=0, unchecked=0, observed=False)
        found = self._meaning.truth(check.term, self._env(check, rows))
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
        found = self._meaning.meaning(term, self._env(check, rows))
        shape = (len(rows.table),)
        if isinstance(found, Truth):
            return True if found.yes.expand(shape)[row] else False if found.no.expand(shape)[row] else None
        value = self._algebra.number(found.it).expand(shape)[row]
        return int(value) if found.known.expand(shape)[row] else None

    def _env(self, check: Check, rows: Rows) -> Env[V]:
        return {check.rule.var: rows, **self._algebra.given}

    def values(self, term: Term, var: Var, moment: Moment = Moment.AFTER) -> Column:
        """A number for every element that `var` may stand for: how a ghost is brought up to date."""
        rows = self._algebra.all_rows(var.of)
        assert rows is not None
        count = len(rows.table)
        found = self._meaning.value(term, {var: self._algebra.at(moment, rows), **self._algebra.given})
        return Column(self._algebra.number(found.it).expand(count), found.known.expand(count))


class _Torch(Algebra[Tensor, V]):
    given: Mapping[Var, V] = MappingProxyType({})

    def __init__(self, state: State, parent: Tensor) -> None:
        self.s, self.parent = state, parent
        self.everything: dict[Place, Rows] = {}

    # Tables.

    def all_rows(self, sort: Sort, component: Component | None = None, tier: Tier | None = None) -> Rows | None:
        place = (sort, component, tier)
        if place not in self.everything:
            table = table_of(self.s, place)
            if table is None:
                return None
            self.everything[place] = Rows(table, None, place, self.s)
        return self.everything[place]

    def sees(self, check: Check, rows: Rows) -> bool:
        """Whether a table of slots that has no row shows that there is nothing, or that nobody looked."""
        read = (t for t in walk(check.term) if isinstance(t, Get) and t.field.owner is Sort.SLOT)
        return len(rows.table) > 0 or self.looked_at(rows, ((_moment(t.of), t.field) for t in read))

    def looked_at(self, rows: Rows, read: Iterable[tuple[Moment, Field]]) -> bool:
        """Whether somebody observed the lists that these fields of slots count."""
        return all(Key(f.name) in self.at(moment, rows).table.columns for moment, f in read)

    def scope(self, check: Check) -> Rows | None:
        return self.all_rows(check.rule.scope, check.component, check.tier)

    def all_rows_of(self, g: Gather) -> Rows | None:
        component, tier = g.pool or (None, None)
        return self.all_rows(g.over.sort, component, tier)  # type: ignore[arg-type]

    def over(self, g: Gather) -> Rows:
        rows = self.all_rows_of(g)
        if rows is None or not self.observed(g):
            return Rows(_UNOBSERVED, None, (g.over.sort, None, None), self.s)
        return rows

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

    def at(self, moment: Moment, of: V) -> Rows:
        assert isinstance(of, Rows)
        return of  # a state is after whatever led to it

    def read(self, get: Get, of: V) -> Meaning[Tensor, V]:
        assert isinstance(of, Rows)
        key = Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated: no variable left
        column = of.table.columns.get(key)
        if column is None:
            if get.sort is Sort.BOOL:
                return Truth(_NO, _NO)
            it: V = self.literal(0)
            if is_reference(get.sort):
                it = _nodes(of.state, self.literal(0))
            return Value(it, _NO)
        values, known = column.values, _YES if column.known is None else column.known
        if is_reference(get.sort) and known is not _YES:
            values = torch.where(known, values, 0)  # what is unknown may be no row at all
        if of.index is not None:
            values = values[of.index]
            known = known if known is _YES else known[of.index]
        if get.sort is Sort.BOOL:
            return Truth(self.conj(known, values), self.conj(known, ~values))
        return Value(_nodes(of.state, values) if is_reference(get.sort) else values, known)

    def observed(self, gather: Gather) -> bool:
        rows = self.all_rows_of(gather)
        if rows is None or gather.over is not Range.SLOTS:
            return rows is not None
        # A list that nobody observed may name slots that no other list does.
        return self.looked_at(rows, fields_of(gather))

    def element(self, gather: Gather, env: Env[V]) -> Env[V]:
        rows = self.over(gather)
        if gather.over is not Range.CHILDREN:
            return {gather.var: rows}
        # Seen from the child's row, everything outside is found at its parent's.
        up = self.parent
        moved = {
            v: replace(r, index=up if r.index is None else r.index[up]) for v, r in env.items() if isinstance(r, Rows)
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
        found[self.parent[1:][body[1:]]] = True
        return found

    def sum_over(self, gather: Gather, env: Env[V], body: V) -> Tensor:
        rows = len(self.over(gather).table)
        each = self.number(body).expand(rows)
        if gather.over is not Range.CHILDREN:
            return each.sum()
        return torch.zeros(rows, dtype=torch.int64).index_add_(0, self.parent[1:], each[1:])

    def repeated(self, gather: Gather, env: Env[V], key: V, among: Tensor) -> Tensor:
        rows = len(self.over(gather).table)
        chosen = among.expand(rows).clone()
        keys = self.number(key).expand(rows)
        if gather.over is not Range.CHILDREN:
            picked = keys[chosen]
            return torch.tensor(len(picked.unique()) < len(picked))  # type: ignore[no-untyped-call]
        chosen[0] = False
        parents, keys = self.parent[chosen], keys[chosen]
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
        each = Semantics(self).value(term.body, {term.var: _nodes(self.s, None)})
        rows = len(self.s.nodes)
        total = self.number(each.it).expand(rows).clone()
        hidden = self.neg(each.known).expand(rows).to(torch.int64).clone()
        total[0] = hidden[0] = 0
        # Pointer jumping: after k rounds a row has summed its 2^k nearest ancestors.
        up = self.parent
        while bool(up.any()):
            total, hidden, up = total + total[up], hidden + hidden[up], up[up]
        at = self.number(node)
        return Value(total[at], hidden[at] == 0)


def table_of(state: State, place: Place) -> Table | None:
    """A table of a state; None where it was not observed."""
    sort, component, tier = place
    match sort:
        case Sort.NODE:
            return state.nodes
        case Sort.TREE:
            return state.tree
        case Sort.TRANSFER:
            return state.transfers
        case Sort.REQUEST:
            return state.requests
    assert component is not None and tier is not None
    return state.slots(component, tier)


def _nodes(state: State, index: Tensor | None) -> Rows:
    return Rows(state.nodes, index, (Sort.NODE, None, None), state)


class _TorchOfStep(_Torch):
    """Two states over the same rows: an element is moved from one to the other by changing tables."""

    def __init__(self, earlier: Frame, later: Frame, told: Table) -> None:
        super().__init__(later, _NO)  # no step rule asks for children or paths
        self.earlier = earlier
        self.given = {CALL: Rows(told, None, (Sort.CALL, None, None), later)}

    def at(self, moment: Moment, of: V) -> Rows:
        assert isinstance(of, Rows)
        if of.table is _UNOBSERVED:
            return of
        state = self.earlier if moment is Moment.BEFORE else self.s
        table = table_of(state, of.place)
        assert table is not None
        return Rows(table, of.index, of.place, state)


@cache
def fields_of(gather: Gather) -> frozenset[tuple[Moment, Field]]:
    """The fields that a fold reads of its own elements, and at which moment."""
    parts = (t for part in (gather.where, gather.body) for t in walk(part))
    read = (t for t in parts if isinstance(t, Get) and (_element(t.of) is gather.var))
    return frozenset((_moment(t.of), t.field) for t in read)


def _moment(of: Term) -> Moment:
    return of.moment if isinstance(of, At) else Moment.AFTER


def _element(of: Term) -> Term:
    """The element itself, whatever moments it is seen at."""
    while isinstance(of, At):
        of = of.of
    return of


_YES, _NO = torch.tensor(True), torch.tensor(False)
_UNOBSERVED = Table(torch.zeros(1, dtype=torch.int64))
