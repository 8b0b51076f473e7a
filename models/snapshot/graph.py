"""A snapshot as a networkx graph, and back."""

from __future__ import annotations

import gc
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import torch

from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot.errors import SnapshotError, shown
from sanitree.models.snapshot.plain import column_of, lists_of, numbers_of
from sanitree.models.snapshot.schema import (
    TABLES,
    component_names,
    field_of,
    is_list,
    key_of,
    label,
    origin_of,
    plain_settings,
    settings_of,
)
from sanitree.models.snapshot.table import Column, Key, Lists, Snapshot, Table
from sanitree.models.snapshot.valid import PARENT, validate

if TYPE_CHECKING:
    import networkx as nx  # type: ignore[import-untyped,unused-ignore]

_NOT_OURS = "start from a graph that to_networkx made"


def to_networkx(snapshot: Snapshot) -> nx.DiGraph:
    """The tree as a directed graph of plain Python data, an edge from each parent to each child.

    Nodes are named by the engine's ids and come in the snapshot's order, their
    number in it under "row". Attributes are columns and lists by name: `key_len`,
    `key` (a list of tokens), `full.device.present`, `full.device.holds`. A value that
    is not known is None; a column that was not observed has no attribute. References
    to nodes are ids. The parent is the edge.

    `G.graph` has "origin", "settings" and "tree" (dicts), "transfers" and "requests"
    (lists of dicts, None where not observed), "tokens" ("raw" or "hashed"), and
    "observed": the names of what was observed, by table. The free lists are in
    "tree", as `full.device.free`.
    """
    with _uncollected():
        return _graph(snapshot)


def _graph(snapshot: Snapshot) -> nx.DiGraph:
    import networkx as nx

    ids = snapshot.nodes.ids.tolist()
    tables = {"tree": snapshot.tree, "transfers": snapshot.transfers, "requests": snapshot.requests}
    rows = {name: None if t is None else _rows(t, TABLES[name], ids, "id") for name, t in tables.items()}
    observed = {
        name: [label(k) for k in (*t.columns, *t.lists) if k != PARENT]
        for name, t in {**tables, "nodes": snapshot.nodes}.items()
        if t is not None
    }
    g = nx.DiGraph(
        origin=asdict(snapshot.origin),
        settings=plain_settings(snapshot.settings),
        tokens=snapshot.tokens,
        tree=(rows["tree"] or [{}])[0],
        transfers=rows["transfers"],
        requests=rows["requests"],
        observed=observed,
    )
    nodes = _rows(snapshot.nodes, Sort.NODE, ids, None)
    g.add_nodes_from((i, {"row": row, **values}) for row, (i, values) in enumerate(zip(ids, nodes, strict=True)))
    g.add_edges_from((ids[p], i) for i, p in zip(ids[1:], snapshot.parent.tolist()[1:], strict=True))
    return g


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps the garbage collector from looking through a million new dicts and lists, again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _rows(t: Table, sort: Sort, ids: list[int], id_name: str | None) -> list[dict[str, Any]]:
    names: list[str] = []
    columns: list[list[Any]] = []
    if id_name is not None:
        names.append(id_name)
        columns.append(t.ids.tolist())
    for key, column in t.columns.items():
        if sort is Sort.NODE and key == PARENT:
            continue
        names.append(label(key))
        values = column.values.tolist()
        known = [True] * len(values) if column.known is None else column.known.tolist()
        if _refers(sort, key):
            values = [ids[v] if ok else None for v, ok in zip(values, known, strict=True)]
        elif column.known is not None:
            values = [v if ok else None for v, ok in zip(values, known, strict=True)]
        columns.append(values)
    for key, lists in t.lists.items():
        names.append(label(key))
        flat, ends = lists.values.tolist(), lists.offsets.tolist()
        columns.append([flat[a:b] for a, b in pairwise(ends)])
    if not names:
        return [{} for _ in range(len(t))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _refers(sort: Sort, key: Key) -> bool:
    field = field_of(sort, key, [key.component] if key.component else [])
    return field is not None and field.sort is Sort.NODE


def from_networkx(graph: nx.DiGraph) -> Snapshot:
    """The snapshot that a graph in the form of `to_networkx` describes, nothing lost.

    Parents come before children and else rows keep the order of "row"; nodes without
    one follow. Node attributes that are no name of the vocabulary are the user's own
    and left alone; one that only some nodes have is unknown for the others. Without
    "observed" the attributes say what was; without "tokens" they count as raw.
    Raises SnapshotError for a graph that is no tree, or lacks what it must have.
    """
    with _uncollected():
        return _snapshot(graph)


def _snapshot(graph: nx.DiGraph) -> Snapshot:
    if not graph.is_directed() or graph.is_multigraph():
        raise SnapshotError("not a DiGraph", "the graph", _NOT_OURS)
    about: dict[str, Any] = graph.graph
    for name in ("origin", "settings", "tree"):
        if not isinstance(about.get(name), dict):
            what = "is no dict" if name in about else "is missing"
            raise SnapshotError(f"{name!r} {what}", "the graph's attributes", _NOT_OURS)
    settings = settings_of(_part(about, "settings", ("policy", "page_size", "components", "traits")), "settings")
    origin = origin_of(_part(about, "origin", ("engine", "version", "core"), ("taken",)), "origin")
    order, parents = _order(graph)
    known = graph.nodes
    table = _Tables(component_names(settings), {i: row for row, i in enumerate(order)}, about.get("observed") or {})
    nodes = table.read("nodes", [known[i] for i in order], lambda row: f"node {shown(order[row])}")
    nodes = Table(
        numbers_of(order, lambda row: f"the name of node {shown(order[row])}"),
        {PARENT: Column(torch.tensor(parents, dtype=torch.int64)), **nodes.columns},
        nodes.lists,
    )
    tree = table.read("tree", [{"id": 0, **about["tree"]}], lambda _: "tree")
    transfers, requests = (table.all_of(name, about.get(name)) for name in ("transfers", "requests"))
    tokens = about.get("tokens", "raw")
    if not isinstance(tokens, str):
        tokens = shown(tokens)
    made = Snapshot(origin, settings, tree, nodes, transfers, requests, tokens)
    validate(made)
    return made


def _part(about: dict[str, Any], name: str, needed: Iterable[str], more: Iterable[str] = ()) -> dict[str, Any]:
    plain = about[name]
    for x in needed:
        if x not in plain:
            raise SnapshotError(f"{x!r} is missing", f"the graph's {name}", _NOT_OURS)
    return {x: plain[x] for x in (*needed, *more) if x in plain}


def _order(g: nx.DiGraph) -> tuple[list[Any], list[int]]:
    """Names of nodes in the order of their rows, and the row of each one's parent."""
    if not len(g):
        raise SnapshotError("there are no nodes", "the graph", "an empty tree has a root")
    for i, degree in g.in_degree():
        if degree > 1:
            above = ", ".join(shown(p) for p, _ in zip(g.predecessors(i), range(3), strict=False))
            raise SnapshotError(f"it has {degree} parents: {above}", f"node {shown(i)}", "keep one edge to it")
    roots = [i for i, degree in g.in_degree() if degree == 0]
    if len(roots) != 1:
        some = ", ".join(map(shown, roots[:3]))
        what = f"{len(roots)} roots: {some}" if roots else "no root: the edges go round in a cycle"
        raise SnapshotError(what, "the graph", "every node but one has a parent")
    last = len(g)
    rank = {i: row if type(row := g.nodes[i].get("row")) is int else last for i in g}
    arrived = {i: at for at, i in enumerate(g)}
    todo = [(rank[roots[0]], arrived[roots[0]], roots[0], 0)]
    order: list[Any] = []
    parents: list[int] = []
    while todo:
        _, _, i, up = heapq.heappop(todo)
        parents.append(up)
        for child in g.successors(i):
            heapq.heappush(todo, (rank[child], arrived[child], child, len(order)))
        order.append(i)
    if len(order) < last:
        reached = set(order)
        lost = next(i for i in g if i not in reached)
        raise SnapshotError("it lies on a cycle, or hangs from one", f"node {shown(lost)}", "a tree has none")
    return order, parents


class _Tables:
    """Makes tables of dicts. `row_of`: a node's row by its name."""

    def __init__(self, components: frozenset[str], row_of: Mapping[Any, int], observed: object) -> None:
        if not isinstance(observed, dict) or not all(isinstance(x, list) for x in observed.values()):
            raise SnapshotError("'observed' is no dict of lists", "the graph's attributes", _NOT_OURS)
        self.components, self.row_of, self.observed = components, row_of, observed

    def all_of(self, name: str, elements: object) -> Table | None:
        if elements is None:
            return None
        if not isinstance(elements, list) or not all(isinstance(x, dict) for x in elements):
            raise SnapshotError("not a list of dicts", f"the graph's {name}", "one dict each, or None if not observed")
        return self.read(name, elements, lambda row: f"{name}[{row}]")

    def read(self, name: str, rows: list[Mapping[str, Any]], place: Callable[[int], str]) -> Table:
        sort = TABLES[name]
        names: dict[str, None] = dict.fromkeys(x for x in self.observed.get(name, ()) if isinstance(x, str))
        for row in rows:
            names |= dict.fromkeys(row.keys() - names.keys())
        columns: dict[Key, Column] = {}
        lists: dict[Key, Lists] = {}
        for text in names:
            key = key_of(text) if isinstance(text, str) else Key("")
            if field := field_of(sort, key, self.components):
                if sort is not Sort.NODE or key != PARENT:
                    columns[key] = self.column([row.get(text) for row in rows], field.sort, text, place)
            elif is_list(sort, key, self.components):
                lists[key] = self.lists([row.get(text) for row in rows], text, place)
        ids = torch.zeros(len(rows), dtype=torch.int64)
        if sort is not Sort.NODE:
            ids = numbers_of([row.get("id") for row in rows], lambda i: f"{place(i)}: 'id'")
        return Table(ids, columns, lists)

    def column(self, values: list[Any], sort: Sort, text: str, place: Callable[[int], str]) -> Column:
        def where(row: int) -> str:
            return f"{place(row)}: {text!r}"

        if sort is not Sort.NODE:
            return column_of(values, sort, where)
        column_of(values, sort, where)
        at = [None if v is None else self.row_of.get(v, -1) for v in values]
        if -1 in at:
            row = at.index(-1)
            raise SnapshotError(f"there is no node {shown(values[row])}", where(row), "name one, or None")
        return column_of(at, sort, where)

    def lists(self, values: list[Any], text: str, place: Callable[[int], str]) -> Lists:
        for row, v in enumerate(values):
            if not isinstance(v, (list, tuple)):
                what = "missing" if v is None else f"a list is wanted, not {shown(v)}"
                raise SnapshotError(what, f"{place(row)}: {text!r}", "an empty list if there are none")
        flat = list(chain.from_iterable(values))
        owners = [row for row, v in enumerate(values) for _ in v]
        numbers = numbers_of(flat, lambda i: f"{place(owners[i])}: {text!r}")
        return lists_of(torch.tensor([len(v) for v in values], dtype=torch.int64), numbers)
