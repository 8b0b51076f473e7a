"""A state of a model as a snapshot, so that what judges and shows live trees judges and shows it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import torch

from sanitree.checker.explore.evaluate import evaluate
from sanitree.checker.explore.ground import Ground
from sanitree.checker.explore.results import Values
from sanitree.checker.symbolic import E
from sanitree.invariants.vocabulary import FIELDS, Component, Sort, Tier
from sanitree.models.protocol.system import Attached, System
from sanitree.models.snapshot import Column, Key, Lists, Origin, Snapshot, Table, validate

_USES = {"reads": ("read", "reader_ack"), "writes": ("written", "writer_ack")}
"""Of a transfer's list of slots: the fields of a slot that say so, and by which transfer."""


@dataclass(frozen=True, slots=True, eq=False)
class Observer:
    """What can be seen of a model's states, computed once for all of them."""

    system: System
    nodes: Mapping[Key, Sequence[E | int]]
    """Of each field: what it is of the root, and an expression for each node."""
    attached: Sequence[tuple[Attached, int, E, Mapping[Key, E]]]
    """Of each element that may be there: what it is, its node, how often it is there, and its fields."""
    tree: Mapping[Key, E]

    def snapshot(self, state: Values) -> Snapshot:
        """What an observer of the state would see: the nodes that are there, under their numbers, the root's 0."""
        s, known = self.system, dict[E, int]()

        def read(e: E | int) -> int:
            return e if isinstance(e, int) else evaluate(e, state, known)

        number_of = {v.key: i for i, v in enumerate(s.variables)}
        there = [0, *(n for n in range(1, s.nodes + 1) if any(state[number_of[k], n] for k in s.exists))]
        row_of = {node: row for row, node in enumerate(there)}
        parents = [row_of[s.parents[n - 1]] if n and s.parents[n - 1] in row_of else 0 for n in there]
        columns = {
            Key("parent"): _column(Sort.INT, parents),
            Key("is_root"): _column(Sort.BOOL, [not n for n in there]),
        }
        for key, each in self.nodes.items():
            columns[key] = _column(FIELDS[Sort.NODE, key.name].sort, [read(each[n]) for n in there])
        elements = [
            (a, n, read(times), {k: read(e) for k, e in fields.items()}) for a, n, times, fields in self.attached
        ]
        slots = {pool: [(n, f) for a, n, _, f in elements if a.pool == pool] for pool in self._pools()}
        made = Snapshot(
            Origin(f"the model {s.name}", version("sanitree"), "model"),
            s.settings,
            tree=Table(
                torch.zeros(1, dtype=torch.int64),
                {k: _column(FIELDS[Sort.TREE, k.name].sort, [read(e)]) for k, e in self.tree.items()},
                {Key.of("free", *p): Lists.of([_times(each, "free")]) for p, each in slots.items()},
            ),
            nodes=Table(torch.tensor(there), columns, {
                Key.of("holds", *p): Lists.of([_times([x for x in each if x[0] == n], "in_tree") for n in there])
                for p, each in slots.items()
            }),
            transfers=_table(Sort.TRANSFER, elements, row_of, slots),
            requests=_table(Sort.REQUEST, elements, row_of, {}),
        )  # fmt: skip
        validate(made)
        return made

    def _pools(self) -> list[tuple[Component, Tier]]:
        return list(dict.fromkeys(a.pool for a, *_ in self.attached if a.pool is not None))


Slot = tuple[int, Mapping[Key, int]]
"""A slot's number, which is its page's, and its fields."""


def observer(system: System) -> Observer:
    """Of a model's states."""
    ground = Ground(system)
    nodes: dict[Key, list[E | int]] = {}
    rows = range(1, system.nodes + 1)
    for i, v in enumerate(system.variables):
        nodes[v.key] = [system.root[v.key], *(E("bits", (i, n)) for n in rows)]
    for d in system.definitions:
        nodes[d.key] = [d.root, *(ground.value(d.term, n) for n in rows)]
    attached = [
        (a, n, ground.value(a.times, n), {k: ground.value(t, n) for k, t in a.fields.items()})
        for a in system.attached
        for n in rows
    ]
    tree = {k: ground.value(t, 0) for k, t in system.tree.items()}
    return Observer(system, {k: v for k, v in nodes.items() if (Sort.NODE, k.name) in FIELDS}, attached, tree)


Element = tuple[Attached, int, int, Mapping[Key, int]]


def _table(
    sort: Sort,
    elements: Sequence[Element],
    row_of: Mapping[int, int],
    slots: Mapping[tuple[Component, Tier], Sequence[Slot]],
) -> Table | None:
    """The elements of a sort that are there; None where the model knows none."""
    of_it = [(number, *x) for number, x in enumerate(elements) if x[0].sort is sort]
    if not of_it:
        return None
    found = [(k * len(elements) + number, n, f) for number, _, n, times, f in of_it for k in range(times)]
    nodes = [row_of.get(n) for _, n, _ in found]
    rows, known = [n or 0 for n in nodes], [n is not None for n in nodes]
    columns = {Key("node"): Column(torch.tensor(rows, dtype=torch.int64), torch.tensor(known, dtype=torch.bool))}
    for key in of_it[0][4]:
        columns[key] = _column(FIELDS[sort, key.name].sort, [f[key] for _, _, f in found])
    lists = {}
    if sort is Sort.TRANSFER:
        for name, (how, whose) in _USES.items():
            for pool, each in slots.items():
                used = [[n for n, s in each if s[Key(how)] and s[Key(whose)] == f[Key("ack")]] for _, _, f in found]
                lists[Key.of(name, *pool)] = Lists.of(used)
    return Table(torch.tensor([i for i, _, _ in found], dtype=torch.int64), columns, lists)


def _column(sort: Sort, values: Sequence[int]) -> Column:
    return Column(torch.tensor(list(map(int, values)), dtype=torch.bool if sort is Sort.BOOL else torch.int64))


def _times(slots: Sequence[Slot], field: str) -> list[int]:
    """The numbers of slots, each as often as a field counts."""
    return [n for n, fields in slots for _ in range(fields[Key(field)])]
