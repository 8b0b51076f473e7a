"""A step of a live cache: a state, the call that changed it, and the state after.

`Step.frames` puts both states as tables over the same rows: a row is one element in either
state, so that a step rule reads it in both. Nodes and requests are the same element by
id, transfers by kind and acknowledgement, slots by number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from sanitree.invariants.calls import CALL_FIELDS, Operation
from sanitree.invariants.vocabulary import FIELDS, Component, Index, Sort, Tier
from sanitree.models.snapshot import Column, Key, Snapshot, Table

Pool = tuple[str, str]
"""A component's and a tier's name."""

Ack = tuple[bool, int]
"""A transfer: whether it is a write, and the id of its acknowledgement."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation, as its driver tells it.

    asked: slots that it is asked to free. evicted: slots of copies that it says it has
    evicted, dropped: those of them whose data is on no tier any more; None where it does
    not say. refused: backups that it says it could not make.
    request: number of the request that it is made for. submitted, acked: the transfers
    that it submitted and acknowledged, in order; None where nobody listened. text: the
    call as a reader would write it.
    """

    operation: Operation
    text: str = ""
    asked: Mapping[Pool, int] = field(default_factory=dict)
    evicted: Mapping[Pool, int] | None = field(default_factory=dict)
    dropped: Mapping[Pool, int] | None = field(default_factory=dict)
    refused: int | None = 0
    request: int | None = None
    submitted: tuple[Ack, ...] | None = ()
    acked: tuple[Ack, ...] | None = ()

    def __str__(self) -> str:
        return self.text or self.operation.value


@dataclass(frozen=True, eq=False)
class Frame:
    """One of a step's two states, over the rows of both: what is not there is unknown."""

    tree: Table
    nodes: Table
    transfers: Table | None
    requests: Table | None
    pool: Callable[[Component, Tier], Table]

    def with_column(self, sort: Sort, key: Key, column: Column) -> Frame:
        """The same with another column, of what the checker keeps."""

        match sort:
            case Sort.NODE:
                return replace(self, nodes=_with(self.nodes, key, column))
            case Sort.TRANSFER if self.transfers is not None:
                return replace(self, transfers=_with(self.transfers, key, column))
            case Sort.REQUEST if self.requests is not None:
                return replace(self, requests=_with(self.requests, key, column))
            case Sort.TREE:
                return replace(self, tree=_with(self.tree, key, column))
        return self

    def slots(self, component: Component, tier: Tier) -> Table:
        """The slots of a pool that either state names; a slot that this one does not name is named 0 times."""
        return self.pool(component, tier)


@dataclass(frozen=True, eq=False)
class Step:
    """Two states as they were taken, the call between them, and both over the same rows."""

    before: Snapshot
    call: Call
    after: Snapshot
    _slot_rows: dict[tuple[str, Tier], Rows] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def nodes(self) -> Rows:
        return Rows.of(self.before.nodes.ids, self.after.nodes.ids)

    def frames(self) -> tuple[Frame, Frame]:
        """The state before and the state after, over the same rows."""
        return _frame(self, 0), _frame(self, 1)

    @cached_property
    def told(self) -> Table:
        """What the call was asked and said: a table of one row."""
        c, columns = self.call, {}
        for (owner, name), f in CALL_FIELDS.items():
            if owner is not Sort.CALL:
                continue
            said = getattr(c, name)
            if said is None:
                continue
            if f.index is Index.NONE:
                columns[Key(name)] = Column.of([said], int)
                continue
            for component in self.after.settings.components:
                for tier in Tier:
                    value = said.get((component.name, tier.value), 0)
                    columns[Key.of(name, component, tier)] = Column.of([value], int)
        return Table(torch.zeros(1, dtype=torch.int64), columns)

    def rows(self, sort: Sort) -> Rows | None:
        """The elements of a sort in either state; None where one of the states does not tell."""
        match sort:
            case Sort.NODE:
                return self.nodes
            case Sort.TRANSFER:
                return self.transfers
            case Sort.REQUEST:
                return self.requests
        one = torch.zeros(1, dtype=torch.int64)
        return Rows(one, ((0,), (0,)))

    @cached_property
    def transfers(self) -> Rows | None:
        before, after = _transfer_ids(self.before), _transfer_ids(self.after)
        if before is None or after is None:
            return None
        named = [2 * ack + write for write, ack in (*(self.call.submitted or ()), *(self.call.acked or ()))]
        return Rows.of(before, after, named)

    def slot_rows(self, component: Component, tier: Tier) -> Rows:
        """The slots of a pool that either state names."""
        found = self._slot_rows.get((component.name, tier))
        if found is None:
            ids = (x.slots(component, tier).ids for x in (self.before, self.after))
            found = self._slot_rows[component.name, tier] = Rows.of(*ids)
        return found

    @cached_property
    def requests(self) -> Rows | None:
        before, after = self.before.requests, self.after.requests
        return None if before is None or after is None else Rows.of(before.ids, after.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The elements of two states. ids: what they are the same by. at: for each, its row in the state before and in
    the state after, -1 where it is not there.
    """

    ids: Tensor
    at: tuple[Sequence[int], Sequence[int]]

    @staticmethod
    def of(before: Tensor, after: Tensor, besides: Iterable[int] = ()) -> Rows:
        # Plain dicts: most states are so small that one vector operation costs more than the work.
        first, second = before.tolist(), after.tolist()
        ids = list(dict.fromkeys([*second, *first, *besides]))  # the later first, so that the root stays in row 0
        at = tuple({i: row for row, i in enumerate(own)} for own in (first, second))
        rows = [tuple(own.get(i, -1) for i in ids) for own in at]
        return Rows(torch.tensor(ids, dtype=torch.int64), (rows[0], rows[1]))

    def of_state(self, which: int, count: int) -> list[int]:
        """For each row of a state, its row here."""
        found = [0] * count
        for here, row in enumerate(self.at[which]):
            if row >= 0:
                found[row] = here
        return found


def _transfer_ids(s: Snapshot) -> Tensor | None:
    """A number for each transfer; None where it is unknown which they are."""
    if s.transfers is None:
        return None
    if not len(s.transfers):
        return torch.zeros(0, dtype=torch.int64)
    columns = [s.transfers.columns.get(Key(name)) for name in ("ack", "is_write")]
    known = [c for c in columns if c is not None and (c.known is None or bool(c.known.all()))]
    if len(known) < 2:
        return None
    ack, is_write = (c.values.to(torch.int64) for c in known)
    return 2 * ack + is_write


def _frame(step: Step, which: int) -> Frame:
    s = (step.before, step.after)[which]
    moved = step.nodes.of_state(which, len(s.nodes))
    nodes = _spread(s.nodes, step.nodes, which, Sort.NODE, moved, {})
    requests = transfers = None
    if (rows := step.requests) is not None:
        requests = _spread(s.requests, rows, which, Sort.REQUEST, moved, _called(step, rows) if which else {})
    if (rows := step.transfers) is not None:
        more = _of_transfers(rows) | (_told_of_transfers(step, rows) if which else {})
        transfers = _spread(s.transfers, rows, which, Sort.TRANSFER, moved, more)

    @cache
    def pool(component: Component, tier: Tier) -> Table:
        size = s.tree.columns.get(Key.of("capacity", component, tier))
        return _spread_slots(s.slots(component, tier), step.slot_rows(component, tier), which, moved, size)

    return Frame(Table(s.tree.ids, s.tree.columns), nodes, transfers, requests, pool)


def _called(step: Step, rows: Rows) -> dict[Key, Column]:
    return {Key("called"): Column.of([i == step.call.request for i in rows.ids.tolist()], bool)}


def _of_transfers(rows: Rows) -> dict[Key, Column]:
    """What a transfer is the same by is known of it in both states."""
    ids = rows.ids.tolist()
    return {
        Key("ack"): Column.of([i // 2 for i in ids], int),
        Key("is_write"): Column.of([i % 2 == 1 for i in ids], bool),
        Key("is_load"): Column.of([i % 2 == 0 for i in ids], bool),
    }


def _told_of_transfers(step: Step, rows: Rows) -> dict[Key, Column]:
    columns = {}
    for name, said in (("submitted", step.call.submitted), ("acked", step.call.acked)):
        if said is not None:
            times = Counter(2 * ack + write for write, ack in said)
            columns[Key(name)] = Column.of([times[i] for i in rows.ids.tolist()], int)
    return columns


class _Lazily(dict[Key, Column]):
    """Columns that are made when they are first read: of many, a rule reads few."""

    def __init__(self, given: Mapping[Key, Column], others: Iterable[Key], make: Callable[[Key], Column]) -> None:
        super().__init__(given)
        self._keys = dict.fromkeys((*others, *given))
        self._make = make

    def __missing__(self, key: Key) -> Column:
        if key not in self._keys:
            raise KeyError(key)
        found = self[key] = self._make(key)
        return found

    def get(self, key: Key, default: Any = None) -> Any:
        return self[key] if key in self._keys else default

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Any:
        return self._keys.keys()

    def items(self) -> Any:
        return [(key, self[key]) for key in self._keys]

    def values(self) -> Any:
        return [self[key] for key in self._keys]


def _with(table: Table, key: Key, column: Column) -> Table:
    return Table(table.ids, _Lazily({key: column}, table.columns, table.columns.__getitem__))


def _spread(
    table: Table | None, rows: Rows, which: int, sort: Sort, moved: Sequence[int], more: Mapping[Key, Column]
) -> Table:
    """A table's columns over the rows of both states, and `more`; references to nodes are to rows of both."""
    at = rows.at[which]
    there = [row >= 0 for row in at]
    given = {Key("exists"): Column.of(there, bool), **more}
    if table is None:
        return Table(rows.ids, given)
    source, nothing = table.columns, [0] * (not len(table))

    def make(key: Key) -> Column:
        column, field = source[key], FIELDS[sort, key.name]
        values, mask = column.listed or nothing, column.mask
        known = there if mask is None else [row >= 0 and mask[row] for row in at]
        if field.sort is Sort.NODE:
            rows_here = [moved[values[row]] if k else moved[0] for row, k in zip(at, known, strict=True)]
            return Column.of(rows_here, int, known)
        return Column.of([values[row] for row in at], bool if field.sort is Sort.BOOL else int, known)

    return Table(rows.ids, _Lazily(given, source, make))


def _spread_slots(table: Table, rows: Rows, which: int, moved: Sequence[int], size: Column | None) -> Table:
    """A pool's slots over the rows of both states. A slot that nobody names is named 0 times, and is nobody's."""
    at, count = rows.at[which], len(rows.ids)
    given = {Key("number"): Column(rows.ids)}
    if size is not None:
        known = None if size.known is None else size.known.expand(count)
        given[Key("pool_size")] = Column(size.values.expand(count), known)

    def make(key: Key) -> Column:
        column = table.columns[key]
        is_node = FIELDS[Sort.SLOT, key.name].sort is Sort.NODE
        nobody = moved[0] if is_node else -1 if key.name in ("reader_ack", "writer_ack") else 0
        values, mask = column.listed, column.mask
        if is_node:
            values = [moved[v] for v in values]
        known = None if mask is None else [row < 0 or mask[row] for row in at]
        return Column.of([values[row] if row >= 0 else nobody for row in at], int, known)

    return Table(rows.ids, _Lazily(given, table.columns, make))
