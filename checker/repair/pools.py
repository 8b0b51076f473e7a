"""The slots of a pool as a repair sees them: who names each, and the lists after somebody else does.

A snapshot's table of slots has those that anything names. A repair may give a slot that nobody names to somebody
(it leaked), so some of these are rows too; they are there once somebody names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from sanitree.invariants.vocabulary import Component, Sort, Tier
from sanitree.models.snapshot import Key, Lists, Snapshot

NAMED: Mapping[str, tuple[Sort, str]] = {
    "free": (Sort.TREE, "free"),
    "in_tree": (Sort.NODE, "holds"),
    "held": (Sort.REQUEST, "holds"),
    "used": (Sort.REQUEST, "uses"),
    "read": (Sort.TRANSFER, "reads"),
    "written": (Sort.TRANSFER, "writes"),
}
"""How often a slot is named by the lists of a sort of elements: the field, and where the lists are."""

BY_TRANSFERS = ("read", "written")
WHO: Mapping[str, str] = {"in_tree": "owner", "read": "reader", "written": "writer"}
"""The row of the last element that names a slot, where rules ask for it: a cell that goes with the count."""


class Pool:
    """One pool. numbers: its slots, those that are named first. named: how many those are.

    columns: of each field that was observed, a number for each slot. shared: of each field the slots that several
    transfers name: for each of these, in order, its row and how often.
    """

    def __init__(self, s: Snapshot, component: Component, tier: Tier, spare: int) -> None:
        self.s, self.component, self.tier = s, component, tier
        table = s.slots(component, tier)
        numbers: list[int] = table.ids.tolist()
        self.named = len(numbers)
        self.numbers = [*numbers, *self._unnamed(set(numbers), spare)]
        self.more = len(self.numbers) - self.named
        self.columns: dict[Key, Sequence[int]] = {}
        self.shared: dict[str, Mapping[int, list[tuple[int, int]]]] = {name: {} for name in BY_TRANSFERS}
        for name in NAMED:
            if (column := table.columns.get(Key(name))) is not None:
                self.columns[Key(name)] = [*column.listed, *[0] * self.more]
                if name in WHO:
                    by = self._named_by(name)
                    self.columns[Key(WHO[name])] = [by[i][-1][0] if i in by else 0 for i in range(len(self.numbers))]
                    if name in BY_TRANSFERS:
                        self.shared[name] = {i: rows for i, rows in by.items() if len(rows) > 1}

    @cached_property
    def busy(self) -> list[int]:
        """Slots that a transfer names."""
        counts = [self.columns.get(Key(name), ()) for name in BY_TRANSFERS]
        return sorted({i for column in counts for i, n in enumerate(column) if n})

    def held_by(self, node: int) -> list[int]:
        """Slots of which a node is the last that holds them; of the root also those that none does."""
        return self._owned.get(node, [])

    @cached_property
    def _owned(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for i, node in enumerate(self.columns.get(Key("owner"), ())):
            found.setdefault(node, []).append(i)
        return found

    def _unnamed(self, named: set[int], most: int) -> list[int]:
        """Slots that nobody names: those that are the pool's for certain come first."""
        size = self.s.tree.columns.get(Key.of("capacity", self.component, self.tier))
        if size is None or (size.mask is not None and not size.mask[0]):
            return []
        padding, count = self.s.settings.page_size, max(size.listed[0], 0)
        found: list[int] = []
        for numbers in (range(padding, count), range(padding), range(max(padding, count), count + padding)):
            for n in numbers:
                if len(found) == most:
                    return found
                if n not in named:
                    found.append(n)
        return found

    def lists(self, name: str) -> Lists | None:
        """The lists that a field counts; None where there are none to change."""
        sort, called = NAMED[name]
        table = {
            Sort.TREE: self.s.tree, Sort.NODE: self.s.nodes, Sort.REQUEST: self.s.requests,
            Sort.TRANSFER: self.s.transfers,
        }[sort]  # fmt: skip
        return None if table is None or not len(table) else table.lists.get(self.key(called))

    def key(self, called: str) -> Key:
        return Key.of(called, self.component, self.tier)

    def _named_by(self, name: str) -> dict[int, list[tuple[int, int]]]:
        """For each slot that lists name, the rows that do, and how often each does."""
        at = {x: i for i, x in enumerate(self.numbers)}
        found: dict[int, dict[int, int]] = {}
        lists = self.lists(name)
        for row, slots in enumerate(lists.each if lists is not None else ()):
            for x in slots:
                by = found.setdefault(at[x], {})
                by[row] = by.get(row, 0) + 1
        return {i: list(by.items()) for i, by in found.items()}

    def renamed(self, name: str, wanted: Mapping[int, tuple[int, int | None]]) -> Lists:
        """The lists of a field after changes. wanted: for slots by row, how often they are named, and by which row
        where that matters; else by those that did, as far as there are enough.
        """
        lists = self.lists(name)
        assert lists is not None
        each = [list(x) for x in lists.each]
        for at, (times, who) in wanted.items():
            slot = self.numbers[at]
            by = [row for row, slots in enumerate(each) for x in slots if x == slot]
            more = [by[-1] if by else 0] * times
            by = [*by, *more][:times] if who is None else [who] * times
            for slots in each:
                if slot in slots:
                    slots[:] = [x for x in slots if x != slot]
            for row in by:
                each[row].append(slot)
        return Lists.of(each)
