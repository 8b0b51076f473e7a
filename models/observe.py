"""Takes a snapshot of a live tree, field by field, as its adapter's `Reading` says.

A walk down the children maps meets each node once, also where they make no tree: a node
that is named again is counted in `references`, and nobody walks in circles. What is not
of its kind, as a count that is None, is unknown, and its node is not `readable`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import torch

from sanitree.invariants.vocabulary import FIELDS, Component, Field, Index, Settings, Sort, Tier
from sanitree.models.reading import Access, Reading, inline
from sanitree.models.snapshot import Column, Key, Lists, Table

_MASK = (1 << 63) - 1
FAULTS = (AttributeError, TypeError, KeyError, IndexError, ValueError, RuntimeError, OverflowError)
"""What reading a field of the wrong kind may raise."""


Wanted = frozenset[Key] | None
"""Which columns and lists of nodes are to be read; None is all of them."""


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
    try:
        return Walk(*_walking(reading.root, inline(reading.children, "n"))(tree))
    except FAULTS:
        return _careful_walk(eval(reading.root, {"T": tree}), reading)


@cache
def _walking(root: str, items: str) -> Callable[[Any], tuple[Any, ...]]:
    scope: dict[str, Any] = {}
    exec(_WALK.format(root=root, items=items), scope)
    return scope["walk"]  # type: ignore[no-any-return]


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


@cache
def keys(sort: Sort, settings: Settings) -> list[tuple[Field, Component | None, Tier | None]]:
    """Every field of a sort, with each component and tier that the settings have."""
    found: list[tuple[Field, Component | None, Tier | None]] = []
    for f in FIELDS.values():
        if f.owner is not sort:
            continue
        for c in settings.components if f.index is not Index.NONE else (None,):
            found += [(f, c, t) for t in (Tier if f.index is Index.COPY else (None,))]
    return found


def node_table(tree: Any, reading: Reading, settings: Settings, seen: Walk, ids: str, wanted: Wanted = None) -> Table:
    """The columns and lists of the nodes, all of them or the `wanted` ones. `ids`: the attribute with a node's id."""
    count = len(seen.nodes)
    columns = {
        Key("is_root"): Column.of([True] + [False] * (count - 1), bool),
        Key("parent"): Column.of(seen.parents, int),
        Key("references"): Column.of(seen.references, int),
        Key("edge"): Column.of([_number(e) for e in seen.edges], int),
    }
    broken = set(seen.broken)
    (up,) = _parent_plan(reading).on(tree, reading, seen.nodes)
    columns[Key("has_parent_link")] = Column.of([p is not None for p in up], bool)
    # A pointer to a node outside the tree reads as one to the node itself: never its parent.
    columns[Key("parent_link")] = Column.of(
        [0 if p is None else own if (r := seen.row_of(p)) is None else r for own, p in enumerate(up)], int
    )
    for key, f, values in _each_field(tree, reading, settings, Sort.NODE, seen.nodes, wanted):
        if f.unit == "hash":
            values = [_number(x) for x in values]
        columns[key] = column = field_column(values, f)
        if column.mask is not None:
            broken |= {row for row, known in enumerate(column.mask) if not known}
    lists = {}
    for key, values in _each_list(tree, reading, settings, seen.nodes[1:], wanted):
        lists[key], failed = _lists(values)
        broken |= failed
    numbers = _ids([getattr(n, ids, None) for n in seen.nodes], broken)
    # The root's own value is no tensor, by design.
    columns[Key("readable")] = Column.of([row == 0 or row not in broken for row in range(count)], bool)
    return Table(torch.tensor(numbers, dtype=torch.int64), columns, lists)


def _lists(found: Sequence[Any]) -> tuple[Lists, set[int]]:
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
    for key, f, values in _each_field(tree, reading, settings, sort, records):
        if f.sort is Sort.NODE:
            values = [seen.row_of(x) or 0 for x in values]
        columns[key] = field_column(values, f)
    return Table(torch.arange(len(records)), columns)


def tree_columns(tree: Any, reading: Reading, settings: Settings) -> dict[Key, Column]:
    """The tree's own fields: one row."""
    found = _each_field(tree, reading, settings, Sort.TREE, [tree])
    return {key: field_column(values, f) for key, f, values in found}


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What is read of elements of one kind: `many` reads everything of all of them, or raises; `one` everything of one,
    with UNREADABLE where it fails. Both take `names` besides."""

    keys: tuple[Key, ...]
    fields: tuple[Field | None, ...]
    names: tuple[str, ...]
    many: Callable[..., Sequence[list[Any]]]
    one: Callable[..., list[Any]]

    @staticmethod
    def of(found: Sequence[tuple[Key, Field | None, Access]], known: Container[str]) -> _Plan:
        sources = [inline(a, "n") for _, _, a in found]
        mentioned = (_names_in(compile(x, "<reading>", "eval")) for x in sources)
        names = tuple(dict.fromkeys(name for each in mentioned for name in sorted(each) if name in known))
        arguments = "".join(f", {name}" for name in names)
        tries = "".join(f"    try: x = {x}\n    except FAULTS: x = UNREADABLE\n    add(x)\n" for x in sources)
        scope: dict[str, Any] = {"FAULTS": FAULTS, "UNREADABLE": UNREADABLE}
        exec(
            f"def many(nodes{arguments}): return [{', '.join(f'[{x} for n in nodes]' for x in sources)}]\n"
            f"def one(n{arguments}):\n    found = []; add = found.append\n{tries}    return found\n",
            scope,
        )
        keys, fields = tuple(key for key, _, _ in found), tuple(f for _, f, _ in found)
        return _Plan(keys, fields, names, scope["many"], scope["one"])

    def on(self, tree: Any, reading: Reading, elements: list[Any]) -> Sequence[Sequence[Any]]:
        """What each access reads on each element; UNREADABLE where it fails."""
        names = [reading.prepare[name](tree) for name in self.names]
        for apart in (0, 1, len(elements)):  # of a root much cannot be read, by design
            try:
                rest = self.many(elements[apart:], *names)
            except FAULTS:
                continue
            if not apart:
                return rest
            firsts = [self.one(x, *names) for x in elements[:apart]]
            return [[*first, *more] for first, more in zip(zip(*firsts, strict=True), rest, strict=True)]
        raise AssertionError("of no elements everything can be read")


@lru_cache(maxsize=256)
def _fields_plan(reading: Reading, settings: Settings, sort: Sort, wanted: Wanted) -> _Plan:
    found = []
    for f, c, t in keys(sort, settings):
        key = Key.of(f.name, c, t)
        if wanted is not None and key not in wanted:
            continue
        if (where := reading.fields.get(f)) and (access := where(c, t)) is not None:
            found.append((key, f, access))
    return _Plan.of(found, reading.prepare)


@lru_cache(maxsize=256)
def _lists_plan(reading: Reading, settings: Settings, wanted: Wanted) -> _Plan:
    found = []
    for name, where in reading.lists.items():
        for c in settings.components if name == "holds" else (None,):
            for t in Tier if name == "holds" else (None,):
                key = Key.of(name, c, t)
                if (wanted is None or key in wanted) and (access := where(c, t)) is not None:
                    found.append((key, None, access))
    return _Plan.of(found, reading.prepare)


@lru_cache(maxsize=256)
def _parent_plan(reading: Reading) -> _Plan:
    return _Plan.of([(Key("parent"), None, reading.parent)], reading.prepare)


def _each_field(
    tree: Any, reading: Reading, settings: Settings, sort: Sort, elements: list[Any], wanted: Wanted = None
) -> Iterator[tuple[Key, Field, Sequence[Any]]]:
    plan = _fields_plan(reading, settings, sort, wanted)
    for key, f, values in zip(plan.keys, plan.fields, plan.on(tree, reading, elements), strict=True):
        assert f is not None
        yield key, f, values


def _each_list(
    tree: Any, reading: Reading, settings: Settings, elements: list[Any], wanted: Wanted
) -> Iterator[tuple[Key, Sequence[Any]]]:
    plan = _lists_plan(reading, settings, wanted)
    yield from zip(plan.keys, plan.on(tree, reading, elements), strict=True)


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


def field_column(values: Sequence[Any], f: Field) -> Column:
    """A column of a field; what is not of the field's sort is unknown."""
    kind = bool if f.sort is Sort.BOOL else int
    if set(map(type, values)) <= {kind} and (kind is bool or _small(values)):
        return Column.of(values, kind)
    fits = [isinstance(x, kind) and (kind is bool or _small((x,))) for x in values]
    kept = [kind(x) if ok else kind() for x, ok in zip(values, fits, strict=True)]
    return Column.of(kept, kind, None if all(fits) else fits)


def _small(values: Sequence[int]) -> bool:
    """Whether numbers are of 64 bits, as a column's are."""
    return not values or (min(values) >= -_LIMIT and max(values) < _LIMIT)


_LIMIT = 1 << 63
