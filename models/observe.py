"""Takes a snapshot of a live tree, field by field, as its adapter's `Reading` says.

A walk down the children maps meets each node once, also where they make no tree: a node
that is named again is counted in `references`, and nobody walks in circles. What is not
of its kind, as a count that is None, is unknown, and its node is not `readable`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import CodeType
from typing import Any

import torch

from sanitree.invariants.vocabulary import FIELDS, Component, Field, Index, Settings, Sort, Tier
from sanitree.models.reading import ELEMENT, Access, Reading, inline
from sanitree.models.snapshot import Column, Key, Lists, Table

_MASK = (1 << 63) - 1
FAULTS = (AttributeError, TypeError, KeyError, IndexError, ValueError, RuntimeError, OverflowError)
"""What reading a field of the wrong kind may raise."""


class _Unreadable:
    """Stands where a field could not be read."""


UNREADABLE = _Unreadable()


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """The nodes of a live tree, parents first; `row` finds one by identity."""

    nodes: list[Any]
    parents: list[int]
    edges: list[object]
    references: list[int]
    row: dict[int, int]
    broken: set[int] = field(default_factory=set)
    """Rows whose children could not be read."""

    def row_of(self, node: Any) -> int | None:
        """The row of a node; None for one that is not in the tree."""
        return self.row.get(id(node))

    def holds(self, node: Any) -> bool:
        """Whether a node is in the tree."""
        return id(node) in self.row


def walk(tree: Any, reading: Reading) -> Walk:
    """Meets every node that is reachable through children maps, breadth first."""
    scope: dict[str, Any] = {}
    exec(_WALK.format(root=reading.root, items=inline(reading.children, "n")), scope)
    try:
        return Walk(*scope["walk"](tree))
    except FAULTS:
        return _careful_walk(eval(reading.root, {"T": tree}), reading)


def _careful_walk(root: Any, reading: Reading) -> Walk:
    """The same where a children map, or a child in one, is none."""
    children, parent = (eval(f"lambda n: {inline(a, 'n')}") for a in (reading.children, reading.parent))
    seen = Walk([root], [0], [None], [0], {id(root): 0})
    for at, n in enumerate(seen.nodes):
        try:
            entries = list(children(n).items())
        except FAULTS:
            entries = []
            seen.broken.add(at)
        for edge, child in entries:
            try:
                parent(child)
            except FAULTS:
                seen.broken.add(at)
                continue
            if (row := seen.row.get(id(child))) is not None:
                seen.references[row] += 1
                continue
            seen.row[id(child)] = len(seen.nodes)
            seen.nodes.append(child)
            seen.parents.append(at)
            seen.edges.append(edge)
            seen.references.append(1)
    return seen


_WALK = """
def walk(T):
    root = {root}
    nodes, parents, edges, references, row = [root], [0], [None], [0], {{id(root): 0}}
    i = 0
    while i < len(nodes):
        n = nodes[i]
        for edge, child in {items}.items():
            seen = row.get(id(child))
            if seen is not None:
                references[seen] += 1
                continue
            row[id(child)] = len(nodes)
            nodes.append(child)
            parents.append(i)
            edges.append(edge)
            references.append(1)
        i += 1
    return nodes, parents, edges, references, row
"""


def keys(sort: Sort, settings: Settings) -> list[tuple[Field, Component | None, Tier | None]]:
    """Every field of a sort, with each component and tier that the settings have."""
    found: list[tuple[Field, Component | None, Tier | None]] = []
    for f in FIELDS.values():
        if f.owner is not sort:
            continue
        for c in settings.components if f.index is not Index.NONE else (None,):
            found += [(f, c, t) for t in (Tier if f.index is Index.COPY else (None,))]
    return found


def node_table(
    tree: Any, reading: Reading, settings: Settings, seen: Walk, ids: str, wanted: Container[Key] | None = None
) -> Table:
    """The columns and lists of the nodes, all of them or the `wanted` ones. `ids`: the attribute with a node's id."""
    count = len(seen.nodes)
    columns = {
        Key("is_root"): Column.of([True] + [False] * (count - 1), bool),
        Key("parent"): Column.of(seen.parents, int),
        Key("references"): Column.of(seen.references, int),
        Key("edge"): Column.of([_number(e) for e in seen.edges], int),
    }
    broken = set(seen.broken)
    names = prepared(tree, reading)
    up = read_each(seen.nodes, reading.parent, names)
    columns[Key("has_parent_link")] = Column.of([p is not None for p in up], bool)
    # A pointer to a node outside the tree reads as one to the node itself: never its parent.
    columns[Key("parent_link")] = Column.of(
        [0 if p is None else own if (r := seen.row_of(p)) is None else r for own, p in enumerate(up)], int
    )
    for f, c, t in keys(Sort.NODE, settings):
        if wanted is not None and Key.of(f.name, c, t) not in wanted:
            continue
        access = where(c, t) if (where := reading.fields.get(f)) else None
        if access is not None:
            values = read_each(seen.nodes, access, names)
            if f.unit == "hash":
                values = [_number(x) for x in values]
            columns[Key.of(f.name, c, t)] = column = field_column(values, f)
            if column.mask is not None:
                broken |= {row for row, known in enumerate(column.mask) if not known}
    lists = {}
    for name, where in reading.lists.items():
        for c in settings.components if name == "holds" else (None,):
            for t in Tier if name == "holds" else (None,):
                if wanted is not None and Key.of(name, c, t) not in wanted:
                    continue
                if (access := where(c, t)) is not None:
                    lists[Key.of(name, c, t)], failed = _lists(read_each(seen.nodes[1:], access, names))
                    broken |= failed
    numbers = _ids([getattr(n, ids, None) for n in seen.nodes], broken)
    # The root's own value is no tensor, by design.
    columns[Key("readable")] = Column.of([row == 0 or row not in broken for row in range(count)], bool)
    return Table(torch.tensor(numbers, dtype=torch.int64), columns, lists)


def _lists(found: list[Any]) -> tuple[Lists, set[int]]:
    """Lists of the root, which holds nothing, and of the nodes after it; rows of those that were none."""
    try:
        return Lists.of([(), *(() if x is None else x for x in found)]), set()
    except FAULTS:
        pass
    kept, failed = [], set()
    for row, x in enumerate(found, 1):
        try:
            kept.append([int(i) for i in x] if x is not None else [])
        except FAULTS:
            kept.append([])
            failed.add(row)
    return Lists.of([(), *kept]), failed


def _ids(found: list[Any], broken: set[int]) -> list[int]:
    """Ids that are numbers and each its own; a node whose is not gets one that no engine gives."""
    taken: set[int] = set()
    for row, i in enumerate(found):
        if not isinstance(i, int) or i in taken:
            broken.add(row)
            found[row] = -1 - row
        taken.add(found[row])
    return found


def record_table(tree: Any, records: list[Any], reading: Reading, sort: Sort, settings: Settings, seen: Walk) -> Table:
    """The columns of the transfers or requests; references to nodes become rows."""
    columns = {}
    names = prepared(tree, reading)
    for f, c, t in keys(sort, settings):
        access = where(c, t) if (where := reading.fields.get(f)) else None
        if access is None:
            continue
        values = read_each(records, access, names)
        if f.sort is Sort.NODE:
            values = [seen.row_of(x) or 0 for x in values]
        columns[Key.of(f.name, c, t)] = field_column(values, f)
    return Table(torch.arange(len(records)), columns)


def tree_columns(tree: Any, reading: Reading, settings: Settings) -> dict[Key, Column]:
    """The tree's own fields: one row."""
    names = prepared(tree, reading)
    columns = {}
    for f, c, t in keys(Sort.TREE, settings):
        access = where(c, t) if (where := reading.fields.get(f)) else None
        if access is not None:
            columns[Key.of(f.name, c, t)] = field_column(read_each([tree], access, names), f)
    return columns


def prepared(tree: Any, reading: Reading) -> Mapping[str, Callable[[], Any]]:
    """The names that accesses use besides the element, each made when first asked for."""
    return {name: partial(make, tree) for name, make in reading.prepare.items()}


def read_each(elements: list[Any], access: Access, names: Mapping[str, Callable[[], Any]]) -> list[Any]:
    """What an access reads on each element; UNREADABLE where it fails."""
    code, mentioned = _compiled(access)
    used = {name: names[name]() for name in mentioned if name in names}
    read = eval(code, used)
    try:
        return read(elements)  # type: ignore[no-any-return]
    except FAULTS:
        return [_read(read, e) for e in elements]


@lru_cache(maxsize=4096)  # the same fields are read for every snapshot
def _compiled(access: Access) -> tuple[CodeType, frozenset[str]]:
    source = inline(access, "n") if access != ELEMENT else "n"
    code = compile(f"lambda nodes: [{source} for n in nodes]", "<reading>", "eval")
    return code, frozenset(_names_in(code))


def _read(read: Callable[[list[Any]], list[Any]], element: Any) -> Any:
    try:
        return read([element])[0]
    except FAULTS:
        return UNREADABLE


def _names_in(code: Any) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            found |= _names_in(constant)
    return found


def _number(x: object) -> Any:
    """A number for anything hashable; equal things have equal numbers."""
    if x is UNREADABLE:
        return x
    return x & _MASK if isinstance(x, int) else hash(x) & _MASK


def field_column(values: list[Any], f: Field) -> Column:
    """A column of a field; what is not of the field's sort is unknown."""
    kind = bool if f.sort is Sort.BOOL else int
    if all(type(x) is kind for x in values) and (kind is bool or _small(values)):
        return Column.of(values, kind)
    fits = [isinstance(x, kind) and (kind is bool or _small((x,))) for x in values]
    kept = [kind(x) if ok else kind() for x, ok in zip(values, fits, strict=True)]
    return Column.of(kept, kind, None if all(fits) else fits)


def _small(values: Sequence[int]) -> bool:
    """Whether numbers are of 64 bits, as a column's are."""
    return not values or (min(values) >= -_LIMIT and max(values) < _LIMIT)


_LIMIT = 1 << 63
