"""Takes a snapshot of a live tree, field by field, as its adapter's `Reading` says.

A walk down the children maps meets each node once, also where they make no tree: a node
that is named again is counted in `references`, and nobody walks in circles.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from sanitree.invariants.vocabulary import FIELDS, Component, Field, Index, Settings, Sort, Tier
from sanitree.models.reading import ELEMENT, Access, Reading, inline
from sanitree.models.snapshot import Column, Key, Lists, Table

_MASK = (1 << 63) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """The nodes of a live tree, parents first; `row` finds one by identity."""

    nodes: list[Any]
    parents: list[int]
    edges: list[object]
    references: list[int]
    row: dict[int, int]

    def row_of(self, node: Any) -> int | None:
        """The row of a node; None for one that is not in the tree."""
        return self.row.get(id(node))


def walk(tree: Any, reading: Reading) -> Walk:
    """Meets every node that is reachable through children maps, breadth first."""
    scope: dict[str, Any] = {}
    exec(_WALK.format(root=reading.root, items=inline(reading.children, "n")), scope)
    return Walk(*scope["walk"](tree))


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
        Key("is_root"): _column([True] + [False] * (count - 1)),
        Key("parent"): _column(seen.parents),
        Key("references"): _column(seen.references),
        Key("edge"): _column([_number(e) for e in seen.edges]),
    }
    names = prepared(tree, reading)
    up = read_each(seen.nodes, reading.parent, names)
    columns[Key("has_parent_link")] = _column([p is not None for p in up])
    # A pointer to a node outside the tree reads as one to the node itself: never its parent.
    columns[Key("parent_link")] = _column(
        [0 if p is None else own if (r := seen.row_of(p)) is None else r for own, p in enumerate(up)]
    )
    for f, c, t in keys(Sort.NODE, settings):
        if wanted is not None and Key.of(f.name, c, t) not in wanted:
            continue
        access = where(c, t) if (where := reading.fields.get(f)) else None
        if access is not None:
            values = _root_first(seen.nodes, access, names, f)
            columns[Key.of(f.name, c, t)] = _column(values)
    lists = {}
    for name, where in reading.lists.items():
        for c in settings.components if name == "holds" else (None,):
            for t in Tier if name == "holds" else (None,):
                if wanted is not None and Key.of(name, c, t) not in wanted:
                    continue
                if (access := where(c, t)) is not None:
                    found = read_each(seen.nodes[1:], access, names)
                    lists[Key.of(name, c, t)] = Lists.of([(), *(() if x is None else x for x in found)])
    return Table(torch.tensor([getattr(n, ids) for n in seen.nodes], dtype=torch.int64), columns, lists)


def record_table(records: list[Any], reading: Reading, sort: Sort, settings: Settings, seen: Walk) -> Table:
    """The columns of the transfers or requests; references to nodes become rows."""
    columns = {}
    for f, c, t in keys(sort, settings):
        access = where(c, t) if (where := reading.fields.get(f)) else None
        if access is None:
            continue
        values = read_each(records, access, {})
        columns[Key.of(f.name, c, t)] = _column(
            [seen.row_of(x) or 0 for x in values] if f.sort is Sort.NODE else values, f.sort is Sort.BOOL
        )
    return Table(torch.arange(len(records)), columns)


def tree_columns(tree: Any, reading: Reading, settings: Settings) -> dict[Key, Column]:
    """The tree's own fields: one row."""
    names = prepared(tree, reading)
    columns = {}
    for f, c, t in keys(Sort.TREE, settings):
        access = where(c, t) if (where := reading.fields.get(f)) else None
        if access is not None:
            columns[Key.of(f.name, c, t)] = _column(read_each([tree], access, names))
    return columns


def prepared(tree: Any, reading: Reading) -> Mapping[str, Callable[[], Any]]:
    """The names that accesses use besides the element, each made when first asked for."""
    return {name: partial(make, tree) for name, make in reading.prepare.items()}


def read_each(elements: list[Any], access: Access, names: Mapping[str, Callable[[], Any]]) -> list[Any]:
    """What an access reads on each element."""
    source = inline(access, "n") if access != ELEMENT else "n"
    code = compile(f"lambda nodes: [{source} for n in nodes]", "<reading>", "eval")
    used = {name: names[name]() for name in _names_in(code) if name in names}
    return eval(code, used)(elements)  # type: ignore[no-any-return]


def _names_in(code: Any) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            found |= _names_in(constant)
    return found


def _root_first(nodes: list[Any], access: Access, names: Mapping[str, Callable[[], Any]], f: Field) -> list[Any]:
    """As `read_each`; what cannot be read of the root, which holds no tokens, is nothing."""
    try:
        first = read_each(nodes[:1], access, names)
    except (AttributeError, IndexError, TypeError):
        first = [False if f.sort is Sort.BOOL else 0]
    values = first + read_each(nodes[1:], access, names)
    return [_number(x) for x in values] if f.unit == "hash" else values


def _number(x: object) -> int:
    """A number for anything hashable; equal things have equal numbers."""
    return x & _MASK if isinstance(x, int) else hash(x) & _MASK


def _column(values: list[Any], boolean: bool | None = None) -> Column:
    if boolean is None:
        boolean = bool(values) and isinstance(values[0], bool)
    return Column(torch.tensor(values, dtype=torch.bool if boolean else torch.int64))
