"""A step of a live cache: a state, the call that changed it, and the state after.

`Step.frames` puts both states as tables over the same rows: a row is one element in either
state, so that a step rule reads it in both. Nodes and requests are the same element by
id, transfers by kind and acknowledgement, slots by number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

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
    pools: Mapping[Pool, Table]

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
        return self.pools[component.name, tier.value]


@dataclass(frozen=True, eq=False)
class Step:
    """Two states as they were taken, the call between them, and both over the same rows."""

    before: Snapshot
    call: Call
    after: Snapshot

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
                columns[Key(name)] = Column(torch.tensor([said]))
                continue
            for component in self.after.settings.components:
                for tier in Tier:
                    value = said.get((component.name, tier.value), 0)
                    columns[Key.of(name, component, tier)] = Column(torch.tensor([value]))
        return Table(torch.zeros(1, dtype=torch.int64), columns)

    def rows(self, sort: Sort) -> Rows:
        """The elements of a sort in either state."""
        match sort:
            case Sort.NODE:
                return self.nodes
            case Sort.TRANSFER:
                return self.transfers
            case Sort.REQUEST:
                return self.requests
        one = torch.zeros(1, dtype=torch.int64)
        return Rows(one, (one, one))

    @cached_property
    def transfers(self) -> Rows:
        named = [2 * ack + write for write, ack in (*(self.call.submitted or ()), *(self.call.acked or ()))]
        return Rows.of(_transfer_ids(self.before), _transfer_ids(self.after), named)

    @cached_property
    def requests(self) -> Rows:
        return Rows.of(*(_NONE if s.requests is None else s.requests.ids for s in (self.before, self.after)))


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The elements of two states. ids: what they are the same by. at: for each, its row in the state before and in
    the state after, -1 where it is not there.
    """

    ids: Tensor
    at: tuple[Tensor, Tensor]

    @staticmethod
    def of(before: Tensor, after: Tensor, besides: Iterable[int] = ()) -> Rows:
        ids = after  # first, so that the root stays in row 0
        for more in (before, torch.tensor(list(dict.fromkeys(besides)), dtype=torch.int64)):
            ids = torch.cat([ids, more[~torch.isin(more, ids)]])
        return Rows(ids, (_find(ids, before), _find(ids, after)))

    def of_state(self, which: int, count: int) -> Tensor:
        """For each row of a state, its row here."""
        found = torch.zeros(count, dtype=torch.int64)
        rows = self.at[which]
        there = (rows >= 0).nonzero().flatten()
        found[rows[there]] = there
        return found


_NONE = torch.zeros(0, dtype=torch.int64)


def _with(table: Table, key: Key, column: Column) -> Table:
    return Table(table.ids, {**table.columns, key: column})


def _find(wanted: Tensor, among: Tensor) -> Tensor:
    """The place of each wanted number among others, -1 where it is not among them."""
    if not len(among):
        return torch.full_like(wanted, -1)
    ordered, order = torch.sort(among)
    place = torch.searchsorted(ordered, wanted).clamp(max=len(among) - 1)
    return torch.where(ordered[place] == wanted, order[place], -1)


def _transfer_ids(s: Snapshot) -> Tensor:
    if s.transfers is None or not len(s.transfers):
        return _NONE
    columns = s.transfers.columns
    return 2 * columns[Key("ack")].values + columns[Key("is_write")].values.to(torch.int64)


def _frame(step: Step, which: int) -> Frame:
    s = (step.before, step.after)[which]
    moved = step.nodes.of_state(which, len(s.nodes))
    nodes = _spread(s.nodes, step.nodes, which, Sort.NODE, moved, {})
    requests = transfers = None
    if step.before.requests is not None and step.after.requests is not None:
        requests = _spread(s.requests, step.requests, which, Sort.REQUEST, moved, _called(step) if which else {})
    if step.before.transfers is not None and step.after.transfers is not None:
        more = _of_transfers(step) | (_told_of_transfers(step) if which else {})
        transfers = _spread(s.transfers, step.transfers, which, Sort.TRANSFER, moved, more)
    pools = {}
    for component in step.after.settings.components:
        for tier in Tier:
            both = tuple(x.slots(component, tier) for x in (step.before, step.after))
            rows = Rows.of(both[0].ids, both[1].ids)
            pools[component.name, tier.value] = _spread_slots(both[which], rows, which, moved)
    return Frame(Table(s.tree.ids, s.tree.columns), nodes, transfers, requests, pools)


def _called(step: Step) -> dict[Key, Column]:
    number = step.call.request
    ids = step.requests.ids
    return {Key("called"): Column(torch.zeros_like(ids, dtype=torch.bool) if number is None else ids == number)}


def _of_transfers(step: Step) -> dict[Key, Column]:
    """What a transfer is the same by is known of it in both states."""
    ids = step.transfers.ids
    return {
        Key("ack"): Column(ids.div(2, rounding_mode="floor")),
        Key("is_write"): Column(ids % 2 == 1),
        Key("is_load"): Column(ids % 2 == 0),
    }


def _told_of_transfers(step: Step) -> dict[Key, Column]:
    columns = {}
    for name, said in (("submitted", step.call.submitted), ("acked", step.call.acked)):
        if said is not None:
            times = Counter(2 * ack + write for write, ack in said)
            columns[Key(name)] = Column(
                torch.tensor([times[i] for i in step.transfers.ids.tolist()], dtype=torch.int64)
            )
    return columns


def _spread(
    table: Table | None, rows: Rows, which: int, sort: Sort, moved: Tensor, more: Mapping[Key, Column]
) -> Table:
    """A table's columns over the rows of both states, and `more`; references to nodes are to rows of both."""
    at = rows.at[which]
    there = at >= 0
    columns: dict[Key, Column] = {Key("exists"): Column(there)}
    if table is not None and len(table):
        at = at.clamp(min=0)
        for key, column in table.columns.items():
            values = column.values[at]
            if FIELDS[sort, key.name].sort is Sort.NODE:
                values = moved[values]
            columns[key] = Column(values, there if column.known is None else column.known[at] & there)
    return Table(rows.ids, {**columns, **more})


def _spread_slots(table: Table, rows: Rows, which: int, moved: Tensor) -> Table:
    at = rows.at[which]
    there, at = at >= 0, at.clamp(min=0)
    columns = {Key("number"): Column(rows.ids)}
    for key, column in table.columns.items():
        if key.name == "number":
            continue
        f = FIELDS[Sort.SLOT, key.name]
        if not len(table):
            columns[key] = Column(torch.full((len(rows.ids),), _NOBODY.get(key.name, 0)))
            continue
        values = moved[column.values[at]] if f.sort is Sort.NODE else column.values[at]
        # A slot that nobody names is named 0 times, and is nobody's.
        values = torch.where(there, values, _NOBODY.get(key.name, 0))
        columns[key] = Column(values, None if column.known is None else column.known[at] | ~there)
    return Table(rows.ids, columns)


_NOBODY = {"reader_ack": -1, "writer_ack": -1}
