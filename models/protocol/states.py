"""A state of a model as a snapshot, so that what judges and shows live trees judges and shows it too."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import torch

from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.protocol.system import System
from sanitree.models.snapshot import Column, Key, Origin, Snapshot, Table, validate

Values = Mapping[tuple[int, int], int]
"""The number of each variable, by its place in `System.variables`, of each node from 1 on."""


def snapshot_of(system: System, values: Values) -> Snapshot:
    """What an observer of the state would see: the nodes that are there, under their numbers, the root's 0.

    Columns are the model's variables that are words of the vocabulary. A node hangs below the
    nearest of its ancestors that is there.
    """
    number_of = {v.key: i for i, v in enumerate(system.variables)}
    there = [0, *(n for n in range(1, system.nodes + 1) if any(values[number_of[k], n] for k in system.exists))]
    row_of = {node: row for row, node in enumerate(there)}
    parents = [next(row_of[p] for p in [*system.path(n)[1:], 0] if p in row_of) for n in there]
    columns = {
        Key("parent"): Column(torch.tensor(parents)),
        Key("is_root"): Column(torch.tensor([not n for n in there])),
    }
    for key, number in number_of.items():
        field = FIELDS.get((Sort.NODE, key.name))
        if field is None:
            continue
        column = [system.root[key], *(values[number, n] for n in there[1:])]
        kind = torch.bool if field.sort is Sort.BOOL else torch.int64
        columns[key] = Column(torch.tensor(column, dtype=kind))
    made = Snapshot(
        Origin(f"the model {system.name}", version("sanitree"), "model"),
        system.settings,
        tree=Table(torch.zeros(1, dtype=torch.int64)),
        nodes=Table(torch.tensor(there), columns),
    )
    validate(made)
    return made
