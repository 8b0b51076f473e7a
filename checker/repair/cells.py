"""A snapshot as cells: one field of one element each, which of them a repair may change, and the snapshot after it.

A slot's cells are its places in lists: how often the free lists name it, how often nodes do and which one, and so on.
What follows from other cells is none: the acknowledgement of a slot's reader is that of the transfer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from sanitree.checker.columns import Place, table_of
from sanitree.checker.repair.pools import NAMED, WHO, Pool
from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.snapshot import Column, Key, Lists, Snapshot, Table
from sanitree.models.snapshot.schema import LARGEST, range_of

NODES: Place = (Sort.NODE, None, None)
TREE: Place = (Sort.TREE, None, None)
TRANSFERS: Place = (Sort.TRANSFER, None, None)
REQUESTS: Place = (Sort.REQUEST, None, None)

IN_FLIGHT = Key("in_flight")
"""Of a transfer, whether it is there at all: a repair may say that it is over, but not that there is another."""

FIXED: Mapping[Sort, Collection[str]] = {
    Sort.NODE: {"parent", "is_root", "own_bytes"},
    Sort.TREE: {"capacity"},
    Sort.TRANSFER: {"is_write", "is_load"},
}
"""What no repair changes: the shape of the tree, what a transfer is, how big pools are, what only a checker knows."""


class Cell(NamedTuple):
    """One field of one element."""

    place: Place
    row: int
    key: Key

    @property
    def site(self) -> Cell:
        """The cell that is counted when this one changes: who names a slot goes with how often it is named."""
        how_often = _COUNTS.get(self.key) if self.place[0] is Sort.SLOT else None
        return self if how_often is None else self._replace(key=how_often)

    @property
    def order(self) -> tuple[int, str, int, str]:
        """Cells in an order: what is one of its kind before what is one of many."""
        sort, component, tier = self.place
        pool = f"{component.name} {tier.value}" if component and tier else ""
        return _SORTS.index(sort), pool, self.row, str(self.key)


_SORTS = (Sort.TREE, Sort.NODE, Sort.TRANSFER, Sort.REQUEST, Sort.SLOT)
_COUNTS = {Key(who): Key(name) for name, who in WHO.items()}


@dataclass(frozen=True, slots=True)
class Held:
    """A column as plain values. mask: which are known, None where all are; what is unknown stays unknown.

    is_bool: truth values. low, high: what a repair may make of a value; equal where it may make nothing of it.
    """

    values: Sequence[int]
    mask: Sequence[bool] | None
    is_bool: bool
    low: int
    high: int

    def known(self, row: int) -> bool:
        return self.mask is None or self.mask[row]

    def free(self, row: int) -> bool:
        """Whether a repair may change the value in a row."""
        return self.low < self.high and self.known(row)


class Cells:
    """All cells of a snapshot. spare: so many slots of each pool that nobody names are cells too."""

    def __init__(self, s: Snapshot, spare: int) -> None:
        self.snapshot, self.spare = s, spare
        self._columns: dict[tuple[Place, Key], Held | None] = {}
        self._pools: dict[Place, Pool] = {}

    def pool(self, place: Place) -> Pool:
        """The slots of a pool."""
        found = self._pools.get(place)
        if found is None:
            _, component, tier = place
            assert component is not None
            assert tier is not None
            found = self._pools[place] = Pool(self.snapshot, component, tier, self.spare)
        return found

    def rows(self, place: Place) -> int | None:
        """How many elements there are; None where nobody looked."""
        if place[0] is Sort.SLOT:
            return len(self.pool(place).numbers)
        table = table_of(self.snapshot, place)
        return None if table is None else len(table)

    def column(self, place: Place, key: Key) -> Held | None:
        """A column; None where it was not observed."""
        at = place, key
        if at not in self._columns:
            self._columns[at] = self._slots(place, key) if place[0] is Sort.SLOT else self._read(place, key)
        return self._columns[at]

    def _read(self, place: Place, key: Key) -> Held | None:
        table = table_of(self.snapshot, place)
        if table is not None and key == IN_FLIGHT:
            return Held([True] * len(table), None, True, 0, 1)
        column = None if table is None else table.columns.get(key)
        if column is None:
            return None
        field, values, mask = FIELDS[place[0], key.name], column.listed, column.mask
        low, high = range_of(field)
        if field.sort is Sort.NODE:
            low, high = 0, len(self.snapshot.nodes) - 1
            values = values if mask is None else [v if k else 0 for v, k in zip(values, mask, strict=True)]
        if field.sort is Sort.BOOL:
            low, high = 0, 1
        if key.name in FIXED.get(place[0], ()):
            high = low
        return Held(values, mask, field.sort is Sort.BOOL, low, high)

    def _slots(self, place: Place, key: Key) -> Held | None:
        pool = self.pool(place)
        values = pool.columns.get(key)
        if values is None:
            return None
        name = _COUNTS.get(key, key).name
        lists = pool.lists(name)  # where nobody is there to name it, nobody can begin to
        high = 0 if lists is None else LARGEST if key.name == name else len(lists.each) - 1
        # The root holds no slot: where a repair gives one to a node, it is another.
        low = min(1, high) if key.name == "owner" else 0
        return Held(values, None, False, low, high)

    @cached_property
    def parents(self) -> list[int]:
        """The row of each node's parent."""
        return self.snapshot.parent.tolist()

    @cached_property
    def children(self) -> Mapping[int, Sequence[int]]:
        """The rows of each node's children, where it has any."""
        found: dict[int, list[int]] = {}
        for row, up in enumerate(self.parents[1:], 1):
            found.setdefault(up, []).append(row)
        return found

    def value(self, cell: Cell) -> int:
        """What a cell holds."""
        held = self.column(cell.place, cell.key)
        assert held is not None
        return held.values[cell.row]

    def element(self, cell: Cell) -> int | None:
        """The id of what a cell is of, or the number of a slot; None for the tree."""
        if cell.place == TREE:
            return None
        if cell.place[0] is Sort.SLOT:
            return self.pool(cell.place).numbers[cell.row]
        table = table_of(self.snapshot, cell.place)
        assert table is not None
        return int(table.ids[cell.row])

    def parts(self, site: Cell) -> tuple[Cell, ...]:
        """The cells that are changed together with one that is counted, itself first."""
        who = WHO.get(site.key.name) if site.place[0] is Sort.SLOT else None
        return (site,) if who is None else (site, site._replace(key=Key(who)))

    def leads(self, cell: Cell) -> bool:
        """Whether rules come by a cell to another element."""
        if cell.place[0] is Sort.SLOT:
            return cell.site.key.name in WHO
        field = FIELDS.get((cell.place[0], cell.key.name))
        return field is None or field.sort is Sort.NODE

    def after(self, changes: Mapping[Cell, int]) -> Snapshot:
        """The snapshot with other values in some cells."""
        columns: dict[tuple[Place, Key], list[int]] = {}
        lists: dict[Sort, dict[Key, Lists]] = {}
        renamed: dict[tuple[Place, str], dict[int, tuple[int, int | None]]] = {}
        for cell, value in changes.items():
            if cell.place[0] is Sort.SLOT:
                count, *who = (changes.get(c, self.value(c)) for c in self.parts(cell.site))
                by = who[0] if who else None
                renamed.setdefault((cell.place, cell.site.key.name), {})[cell.row] = (count, by)
                continue
            held = self.column(cell.place, cell.key)
            assert held is not None
            column = columns.setdefault((cell.place, cell.key), list(held.values))
            column[cell.row] = bool(value) if held.is_bool else value
        for (place, name), wanted in renamed.items():
            pool, (sort, called) = self.pool(place), NAMED[name]
            lists.setdefault(sort, {})[pool.key(called)] = pool.renamed(name, wanted)

        over = [not alive for alive in columns.pop((TRANSFERS, IN_FLIGHT), ())]

        def table(sort: Sort, old: Table) -> Table:
            new = {key: self._column(at, key, v) for (at, key), v in columns.items() if at[0] is sort}
            return Table(old.ids, {**old.columns, **new}, {**old.lists, **lists.get(sort, {})})

        s = self.snapshot
        return replace(
            s,
            tree=table(Sort.TREE, s.tree),
            nodes=table(Sort.NODE, s.nodes),
            transfers=None if s.transfers is None else _without(table(Sort.TRANSFER, s.transfers), over),
            requests=None if s.requests is None else table(Sort.REQUEST, s.requests),
        )

    def _column(self, place: Place, key: Key, values: list[int]) -> Column:
        held = self.column(place, key)
        assert held is not None
        return Column.of(values, bool if held.is_bool else int, held.mask)


def _without(t: Table, gone: Sequence[bool]) -> Table:
    """A table without some of its rows."""
    if not any(gone):
        return t
    kept = [row for row, is_gone in enumerate(gone) if not is_gone]

    def column(c: Column) -> Column:
        return Column(c.values[kept], None if c.known is None else c.known[kept])

    return Table(
        t.ids[kept],
        {key: column(c) for key, c in t.columns.items()},
        {key: Lists.of([each.each[row] for row in kept]) for key, each in t.lists.items()},
    )
