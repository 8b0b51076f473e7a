"""Exact equality of snapshots."""

from __future__ import annotations

import torch
from torch import Tensor

from sanitree.models.snapshot.table import Column, Lists, Snapshot, Table


def same(a: Snapshot, b: Snapshot) -> bool:
    """Whether two snapshots say exactly the same.

    Equal are origin, settings, and in every table the ids, the columns with their
    masks, the lists and the order of the rows. What a mask hides is not compared, a
    mask that hides nothing equals none, and notes and the order of columns do not
    count. A table that was not observed differs from an empty one.
    """
    if (a.origin, a.settings, a.tokens) != (b.origin, b.settings, b.tokens):
        return False
    pairs = ((a.tree, b.tree), (a.nodes, b.nodes), (a.transfers, b.transfers), (a.requests, b.requests))
    return all(_same_table(x, y) for x, y in pairs)


def _same_table(a: Table | None, b: Table | None) -> bool:
    if a is None or b is None:
        return a is b
    return (
        torch.equal(_here(a.ids), _here(b.ids))
        and a.columns.keys() == b.columns.keys()
        and a.lists.keys() == b.lists.keys()
        and all(_same_column(c, b.columns[k]) for k, c in a.columns.items())
        and all(_same_lists(x, b.lists[k]) for k, x in a.lists.items())
    )


def _same_column(a: Column, b: Column) -> bool:
    if a.values.dtype is not b.values.dtype or len(a.values) != len(b.values):
        return False
    known = _known(a)
    return torch.equal(known, _known(b)) and torch.equal(_here(a.values)[known], _here(b.values)[known])


def _same_lists(a: Lists, b: Lists) -> bool:
    return torch.equal(_here(a.offsets), _here(b.offsets)) and torch.equal(_here(a.values), _here(b.values))


def _known(c: Column) -> Tensor:
    return torch.ones(len(c.values), dtype=torch.bool) if c.known is None else _here(c.known)


def _here(x: Tensor) -> Tensor:
    return x.cpu()
