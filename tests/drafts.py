"""Snapshots as plain lists that a test can change and read without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from sanitree.invariants.vocabulary import DEVICE, FIELDS, Component, Index, Settings, Sort, Tier
from sanitree.models.snapshot import Column, Key, Lists, Origin, Snapshot, Table
from sanitree.models.snapshot.schema import LISTS

EMPTY = {Sort.BOOL: False, Sort.INT: 0, Sort.NODE: 0}


@dataclass
class Sheet:
    """A table: ids, columns and lists of numbers, a row an element. `known` has the masks of columns that have one."""

    sort: Sort
    ids: list[int] = field(default_factory=list)
    columns: dict[Key, list] = field(default_factory=dict)
    known: dict[Key, list[bool]] = field(default_factory=dict)
    lists: dict[Key, list[list[int]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __call__(self, name: str, c: Component | None = None, t: Tier | None = None) -> list:
        """A column, to read and to write."""
        return self.columns[Key.of(name, c, t)]

    def of(self, name: str, c: Component | None = None, t: Tier | None = None) -> list[list[int]]:
        """The lists of a name, to read and to write."""
        return self.lists[Key.of(name, c, t)]

    def add(self, number: int, **values: object) -> int:
        """A row more, with empty values but for the plain fields given; its row."""
        self.ids.append(number)
        for key, column in self.columns.items():
            column.append(values.get(key.name, EMPTY[FIELDS[self.sort, key.name].sort]))
        for lists in self.lists.values():
            lists.append([])
        return len(self.ids) - 1

    @staticmethod
    def blank(sort: Sort, settings: Settings) -> Sheet:
        """No rows, with every column and list of a sort."""
        sheet = Sheet(sort)
        for (owner, name), f in FIELDS.items():
            if owner is sort:
                sheet.columns |= {k: [] for k in keys(name, f.index, settings)}
        for (owner, name), index in LISTS.items():
            if owner is sort:
                sheet.lists |= {k: [] for k in keys(name, index, settings)}
        return sheet

    @staticmethod
    def read(sort: Sort, t: Table) -> Sheet:
        return Sheet(
            sort,
            t.ids.tolist(),
            {k: c.values.tolist() for k, c in t.columns.items()},
            {k: c.known.tolist() for k, c in t.columns.items() if c.known is not None},
            {k: [x[row].tolist() for row in range(len(t))] for k, x in t.lists.items()},
        )

    def table(self) -> Table:
        def column(key: Key, values: list) -> Column:
            dtype = torch.bool if FIELDS[self.sort, key.name].sort is Sort.BOOL else torch.int64
            known = self.known.get(key)
            return Column(
                torch.tensor(values, dtype=dtype), None if known is None else torch.tensor(known, dtype=torch.bool)
            )

        return Table(
            torch.tensor(self.ids, dtype=torch.int64),
            {k: column(k, v) for k, v in self.columns.items()},
            {k: Lists.of(v) for k, v in self.lists.items()},
        )

    def copy(self) -> Sheet:
        return Sheet(
            self.sort,
            list(self.ids),
            {k: list(v) for k, v in self.columns.items()},
            {k: list(v) for k, v in self.known.items()},
            {k: [list(x) for x in v] for k, v in self.lists.items()},
        )


def keys(name: str, index: Index, settings: Settings) -> Iterator[Key]:
    """The keys of a field or list, with each component and tier that settings have."""
    for c in settings.components if index is not Index.NONE else (None,):
        for t in Tier if index is Index.COPY else (None,):
            yield Key.of(name, c, t)


@dataclass
class Draft:
    """A snapshot that can be changed."""

    origin: Origin
    settings: Settings
    tree: Sheet
    nodes: Sheet
    transfers: Sheet | None
    requests: Sheet | None

    @staticmethod
    def read(s: Snapshot) -> Draft:
        def sheet(sort: Sort, t: Table | None) -> Sheet | None:
            return None if t is None else Sheet.read(sort, t)

        nodes, tree = Sheet.read(Sort.NODE, s.nodes), Sheet.read(Sort.TREE, s.tree)
        transfers, requests = sheet(Sort.TRANSFER, s.transfers), sheet(Sort.REQUEST, s.requests)
        return Draft(s.origin, s.settings, tree, nodes, transfers, requests)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            self.origin, self.settings, self.tree.table(), self.nodes.table(),
            None if self.transfers is None else self.transfers.table(),
            None if self.requests is None else self.requests.table(),
        )  # fmt: skip

    def copy(self) -> Draft:
        return Draft(
            self.origin, self.settings, self.tree.copy(), self.nodes.copy(),
            None if self.transfers is None else self.transfers.copy(),
            None if self.requests is None else self.requests.copy(),
        )  # fmt: skip

    def sheet(self, sort: Sort) -> Sheet | None:
        tables = (self.nodes, self.tree, self.transfers, self.requests)
        return tables[(Sort.NODE, Sort.TREE, Sort.TRANSFER, Sort.REQUEST).index(sort)]

    def slots(self, c: Component, t: Tier) -> Sheet:
        """The pool's slots that anything names, counted one by one: what `Snapshot.slots` does with tensors."""
        found: dict[int, dict[str, int]] = {}
        hazy: set[tuple[int, str]] = set()
        seen: set[str] = set()

        def see(
            name: str,
            lists: list[list[int]],
            owners: list[int] | None = None,
            owner: str = "",
            hidden: list[bool] | None = None,
        ) -> None:
            seen.add(name)
            if owners is not None:
                seen.add(owner)
            for row, numbers in enumerate(lists):
                for slot in numbers:
                    s = found.setdefault(slot, {})
                    s[name] = s.get(name, 0) + 1
                    if owners is not None:
                        s[owner] = owners[row]
                        hide = hidden is not None and not hidden[row]
                        (hazy.add if hide else hazy.discard)((slot, owner))

        def told(sheet: Sheet | None, name: str) -> list[list[int]] | None:
            # Where there is nobody, and no list says what was looked at, nobody names a slot.
            bare = sheet is not None and not len(sheet) and not sheet.lists
            return None if sheet is None else sheet.lists.get(Key.of(name, c, t), [] if bare else None)

        if (lists := told(self.tree, "free")) is not None:
            see("free", lists)
        if (lists := told(self.nodes, "holds")) is not None:
            see("in_tree", lists, list(range(len(self.nodes))), "owner")
        for name, called in (("held", "holds"), ("used", "uses")):
            if (lists := told(self.requests, called)) is not None:
                see(name, lists)
        for name, called, ack in (("read", "reads", "reader_ack"), ("written", "writes", "writer_ack")):
            if (lists := told(self.transfers, called)) is not None and self.transfers is not None:
                x = self.transfers
                see(name, lists, x.columns.get(Key("ack")), ack, x.known.get(Key("ack")))
        numbers = sorted(found)
        default = {"reader_ack": -1, "writer_ack": -1}
        columns = {Key(n): [found[i].get(n, default.get(n, 0)) for i in numbers] for n in sorted(seen)}
        known = {Key(a): [(i, a) not in hazy for i in numbers] for a in default if any(name == a for _, name in hazy)}
        if (size := self.tree.columns.get(key := Key.of("capacity", c, t))) is not None:
            columns[Key("pool_size")] = size * len(numbers)
            if key in self.tree.known:
                known[Key("pool_size")] = self.tree.known[key] * len(numbers)
        return Sheet(Sort.SLOT, numbers, {Key("number"): list(numbers), **columns}, known)

    # Words for what tests ask of a draft most.

    def children(self, row: int) -> list[int]:
        return [r for r, p in enumerate(self.nodes("parent")) if p == row and r]

    def path(self, row: int) -> list[int]:
        """The row and its ancestors, the root left out."""
        found = []
        while row:
            found.append(row)
            row = self.nodes("parent")[row]
        return found

    def rows(self) -> range:
        """Every node but the root."""
        return range(1, len(self.nodes))

    def has(self, row: int, c: Component, t: Tier = DEVICE) -> bool:
        return bool(self.nodes("present", c, t)[row])
