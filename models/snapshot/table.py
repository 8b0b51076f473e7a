"""A snapshot: everything that was observed of one cache at one moment, as columns.

Row 0 of the nodes is the root, and a parent's row comes before its children's, so
no snapshot can hold a cycle: a live tree that has one shows it as a node with two
references. A column that is missing was not observed; a row that is masked was not
known. Both read as unknown, never as zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sanitree.invariants.vocabulary import Component, Settings, Sort, Tier


class Key(NamedTuple):
    """What a column is called: a field or a list, and the component and tier it is indexed by."""

    name: str
    component: str | None = None
    tier: str | None = None

    def __str__(self) -> str:
        return ".".join(p for p in self if p)

    @staticmethod
    def of(name: str, component: Component | None = None, tier: Tier | None = None) -> Key:
        """The key for vocabulary objects."""
        return Key(name, component.name if component else None, tier.value if tier else None)


class Column:
    """Values of one field, a row an element; `known` masks them, None where all are known.

    values: int64 or bool, shape [rows]. A column of references holds row numbers. Given as
    tensors or as lists (`of`); each form is made of the other when it is first asked for, because
    a state of some ten nodes is observed and judged faster without any tensor.
    """

    __slots__ = ("_known", "_listed", "_mask", "_values")

    def __init__(self, values: Tensor, known: Tensor | None = None) -> None:
        self._values: Tensor | None = values
        self._known = known
        self._listed: Listed | None = None
        self._mask: Sequence[bool] | None = None

    @staticmethod
    def of(values: Listed, kind: type, known: Sequence[bool] | None = None) -> Column:
        """From plain values of a kind, int or bool; neither is copied."""
        column = Column(_EMPTY[kind])
        if values:
            column._values = None
        column._listed, column._mask = values, known
        return column

    @property
    def values(self) -> Tensor:
        """As a tensor."""
        if self._values is None:
            assert self._listed is not None
            self._values = torch.tensor(self._listed)
        return self._values

    @property
    def known(self) -> Tensor | None:
        """The mask as a tensor."""
        if self._known is None and self._mask is not None:
            self._known = torch.tensor(self._mask, dtype=torch.bool)
        return self._known

    @property
    def listed(self) -> Listed:
        """The values as plain ints or bools."""
        if self._listed is None:
            assert self._values is not None
            self._listed = self._values.tolist()
        return self._listed

    @property
    def mask(self) -> Sequence[bool] | None:
        """The mask as plain bools."""
        if self._mask is None and self._known is not None:
            self._mask = self._known.tolist()
        return self._mask


Listed = Sequence[int] | Sequence[bool]


_EMPTY = {int: torch.zeros(0, dtype=torch.int64), bool: torch.zeros(0, dtype=torch.bool)}


class Lists:
    """One list of numbers a row: `values[offsets[i]:offsets[i + 1]]`.

    offsets: int64, shape [rows + 1]. values: int64, shape [total]. Given as tensors or as lists
    (`of`), and each form made of the other when it is first asked for, as a column's are.
    """

    __slots__ = ("_each", "_offsets", "_values")

    def __init__(self, offsets: Tensor, values: Tensor) -> None:
        self._offsets: Tensor | None = offsets
        self._values: Tensor | None = values
        self._each: Sequence[Sequence[int]] | None = None

    @property
    def offsets(self) -> Tensor:
        if self._offsets is None:
            assert self._each is not None
            self._offsets = torch.tensor([0, *accumulate(map(len, self._each))], dtype=torch.int64)
        return self._offsets

    @property
    def values(self) -> Tensor:
        if self._values is None:
            assert self._each is not None
            self._values = torch.tensor([*chain.from_iterable(self._each)], dtype=torch.int64)
        return self._values

    @property
    def each(self) -> Sequence[Sequence[int]]:
        """Each row's numbers, as plain ints."""
        if self._each is None:
            offsets, values = self.offsets.tolist(), self.values.tolist()
            self._each = [values[a:b] for a, b in pairwise(offsets)]
        return self._each

    @property
    def is_small(self) -> bool:
        """Whether one vector operation costs more than going through the plain numbers."""
        if self._each is not None:
            return sum(map(len, self._each)) <= SMALL
        return self.values.numel() <= SMALL

    @property
    def lengths(self) -> Tensor:
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def rows(self) -> Tensor:
        """The row that each value belongs to, shape [total]."""
        # numpy, because torch wakes all its threads for this, and waits for them where cores are busy.
        return torch.from_numpy(np.repeat(np.arange(len(self.offsets) - 1), self.lengths.numpy()))

    def __getitem__(self, row: int) -> Tensor:
        return self.values[int(self.offsets[row]) : int(self.offsets[row + 1])]

    def without(self, number: int) -> Lists:
        """The same, one number left out wherever it is."""
        if self.is_small:
            found = any(number in row for row in self.each)
            return Lists.of([x for x in row if x != number] for row in self.each) if found else self
        kept = self.values != number
        if bool(kept.all()):
            return self
        counts = torch.zeros(len(self.lengths), dtype=torch.int64).index_add_(0, self.rows, kept.to(torch.int64))
        return Lists(torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]), self.values[kept])

    @staticmethod
    def of(lists: Iterable[Iterable[int] | Tensor]) -> Lists:
        """From one list or tensor of numbers a row."""
        parts = [x if isinstance(x, Tensor | list) else list(x) for x in lists]
        tensors = [x for x in parts if isinstance(x, Tensor)]
        sizes = [x.numel() if isinstance(x, Tensor) else len(x) for x in parts]
        if sum(sizes) <= SMALL and not any(x.is_cuda for x in tensors):
            each = [x.flatten().tolist() if isinstance(x, Tensor) else x for x in parts]
            if all(type(x) is int and x < _LIMIT for row in each for x in row):
                made = Lists.__new__(Lists)
                made._offsets = made._values = None
                made._each = each
                return made
        lengths = torch.tensor([0, *sizes], dtype=torch.int64)
        if tensors and all(isinstance(x, Tensor) or not x for x in parts):
            values = torch.cat(tensors).to("cpu", torch.int64)  # one copy from the device, not one a row
        else:
            plain = (x.tolist() if isinstance(x, Tensor) else x for x in parts)
            values = torch.tensor([*chain.from_iterable(plain)], dtype=torch.int64)
        return Lists(lengths.cumsum(0), values)


SMALL = 4096
"""Numbers in all lists of a kind up to which plain Python is the faster way."""
_LIMIT = 1 << 63


@dataclass(frozen=True, eq=False)
class Table:
    """The elements of one sort: their ids, their fields, and lists of slots or tokens.

    Names of lists: `key` (tokens of a node), `holds` (slots of a node's copy, or of
    a request outside the tree), `uses` (slots of a request's locked prefix), `reads`
    and `writes` (slots of a transfer), `free` (slots in the pool's free lists; one
    row, the tree's).
    """

    ids: Tensor
    columns: Mapping[Key, Column] = field(default_factory=dict)
    lists: Mapping[Key, Lists] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.ids.numel()


def empty_table() -> Table:
    """A table that was observed to have no rows."""
    return Table(torch.zeros(0, dtype=torch.int64))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a snapshot was taken: engine name and version, core ("python", "rust"), UTC time (ISO 8601)."""

    engine: str
    version: str
    core: str
    taken: str = ""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One observed cache. `nodes` always is; `transfers` and `requests` are None where not observed.

    tokens: "hashed" or "raw": whether `key` lists hold salted hashes of the prompts'
    tokens or the tokens themselves. notes: what a reader should know besides, a line
    each: what a file held that this version of sanitree does not know. Not observed,
    so never written or compared.
    """

    origin: Origin
    settings: Settings
    tree: Table
    nodes: Table
    transfers: Table | None = None
    requests: Table | None = None
    tokens: str = "raw"
    notes: tuple[str, ...] = ()
    _slots: dict[tuple[str, Tier], Table] = field(default_factory=dict, init=False, repr=False)

    def with_settings(self, settings: Settings) -> Snapshot:
        """The same observation, judged as if the cache were configured otherwise."""
        return replace(self, settings=settings)

    @cached_property
    def parent(self) -> Tensor:
        """Row of each node's parent, the root's its own; shape [nodes]."""
        return self.nodes.columns[Key("parent")].values

    @cached_property
    def row_of(self) -> dict[int, int]:
        """Row of a node by its id."""
        return {i: row for row, i in enumerate(self.nodes.ids.tolist())}

    def path_to(self, row: int) -> tuple[int, ...]:
        """Rows from the root's child down to a node; none to the root."""
        path = []
        while row:
            path.append(row)
            row = int(self.parent[row])
        return tuple(path[::-1])

    def tokens_of(self, rows: Iterable[int]) -> tuple[int, ...] | None:
        """The tokens of these nodes' keys, one after the other; None where keys were not observed."""
        keys = self.nodes.lists.get(Key("key"))
        return None if keys is None else tuple(chain.from_iterable(keys[row].tolist() for row in rows))

    def slots(self, component: Component, tier: Tier) -> Table:
        """The slots of a pool that anything observed names, in order of their numbers."""
        found = self._slots.get((component.name, tier))
        if found is None:
            found = self._slots[component.name, tier] = _slot_table(self, component, tier)
        return found


def _slot_table(s: Snapshot, component: Component, tier: Tier) -> Table:
    """Who names which slot, counted. Made from the lists, so its size is bounded by theirs."""

    def lists_of(table: Table | None, name: str) -> Lists | None:
        if table is None:
            return None
        # Where there is nobody, and no list says what was looked at, nobody names a slot.
        return table.lists.get(Key.of(name, component, tier), None if len(table) or table.lists else _NOTHING)

    used = {
        "free": lists_of(s.tree, "free"),
        "in_tree": lists_of(s.nodes, "holds"),
        "held": lists_of(s.requests, "holds"),
        "used": lists_of(s.requests, "uses"),
        "read": lists_of(s.transfers, "reads"),
        "written": lists_of(s.transfers, "writes"),
    }
    if all(u is None or u.is_small for u in used.values()):
        return _small_slot_table(s, Key.of("capacity", component, tier), used)
    # torch sorts and finds several times faster in large pools, numpy starts the rest faster in small ones.
    named = [u.values for u in used.values() if u is not None]
    numbers = torch.unique(torch.cat(named)) if named else torch.zeros(0, dtype=torch.int64)
    count = len(numbers)
    columns = {Key("number"): Column(numbers)}
    if (capacity := s.tree.columns.get(Key.of("capacity", component, tier))) is not None:
        known = None if capacity.known is None else capacity.known.expand(count)
        columns[Key("pool_size")] = Column(capacity.values.expand(count), known)
    at: dict[str, NDArray[np.int64]] = {}
    for name, lists in used.items():
        if lists is not None:
            at[name] = torch.searchsorted(numbers, lists.values).numpy()
            columns[Key(name)] = _from(np.bincount(at[name], minlength=count))
    if (held := used["in_tree"]) is not None:
        owner = np.zeros(count, dtype=np.int64)
        owner[at["in_tree"]] = held.rows.numpy()
        columns[Key("owner")] = _from(owner)
    for role, field_name in (("read", "reader_ack"), ("written", "writer_ack")):
        lists = used[role]
        acks = s.transfers.columns.get(Key("ack")) if s.transfers is not None else None
        if lists is not None and acks is not None:
            rows = lists.rows.numpy()
            ack = np.full(count, -1, dtype=np.int64)
            ack[at[role]] = acks.values.numpy()[rows]
            sure = None
            if acks.known is not None:
                sure = np.ones(count, dtype=np.bool_)
                sure[at[role]] = acks.known.numpy()[rows]
            columns[Key(field_name)] = _from(ack, sure)
    return Table(numbers, columns)


def _small_slot_table(s: Snapshot, capacity: Key, used: Mapping[str, Lists | None]) -> Table:
    """The same in plain Python, which has no cost of starting."""
    each = {name: lists.each for name, lists in used.items() if lists is not None}
    numbers = sorted({x for rows in each.values() for row in rows for x in row})
    at = {x: i for i, x in enumerate(numbers)}
    count = len(numbers)
    columns = {Key("number"): Column.of(numbers, int)}
    if (size := s.tree.columns.get(capacity)) is not None:
        known = size.mask
        columns[Key("pool_size")] = Column.of([*size.listed] * count, int, None if known is None else [*known] * count)
    for name, rows in each.items():
        named = [0] * count
        for row in rows:
            for x in row:
                named[at[x]] += 1
        columns[Key(name)] = Column.of(named, int)
    if (held := each.get("in_tree")) is not None:
        columns[Key("owner")] = Column.of(_last(held, range(len(held)), at, 0), int)
    acks = None if s.transfers is None else s.transfers.columns.get(Key("ack"))
    for role, field_name in (("read", "reader_ack"), ("written", "writer_ack")):
        if acks is not None and (rows_of := each.get(role)) is not None:
            sure = None if acks.mask is None else list(map(bool, _last(rows_of, acks.mask, at, 1)))
            columns[Key(field_name)] = Column.of(_last(rows_of, acks.listed, at, -1), int, sure)
    return Table(Column.of(numbers, int).values, columns)


def _last(rows: Sequence[Sequence[int]], says: Sequence[int], at: Mapping[int, int], nobody: int) -> list[int]:
    """For each slot what the last row that names it says."""
    found = [nobody] * len(at)
    for row, said in zip(rows, says, strict=False):
        for x in row:
            found[at[x]] = said
    return found


def _from(values: NDArray[np.int64], known: NDArray[np.bool_] | None = None) -> Column:
    return Column(torch.from_numpy(values), None if known is None else torch.from_numpy(known))


_NOTHING = Lists(torch.zeros(1, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))

SORT_NAME = {Sort.NODE: "nodes", Sort.TREE: "tree", Sort.TRANSFER: "transfers", Sort.REQUEST: "requests"}
