"""The shape that every snapshot has, whoever made it. The rules take it for granted."""

from __future__ import annotations

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import Field, Sort
from sanitree.models.snapshot.errors import SnapshotError, shown
from sanitree.models.snapshot.schema import (
    LARGEST_ID,
    check_origin,
    check_settings,
    component_names,
    field_of,
    is_list,
    label,
    no_such_name,
    range_of,
)
from sanitree.models.snapshot.table import SORT_NAME, Column, Key, Lists, Snapshot, Table

PARENT = Key("parent")
_LONGEST_NAME = 120


def validate(s: Snapshot) -> None:
    """Raises SnapshotError unless every name, length, reference and number is in its range.

    Rules judge the rest: a valid snapshot may show a very broken cache.
    """
    check_origin(s.origin)
    check_settings(s.settings)
    if s.tokens not in ("hashed", "raw"):
        raise SnapshotError(f"{shown(s.tokens)} says nothing about tokens", ".tokens", 'write "hashed" or "raw"')
    if len(s.tree) != 1:
        raise SnapshotError(f"there are {len(s.tree)} trees", ".tree.ids", "a snapshot is of one")
    tables = {Sort.TREE: s.tree, Sort.NODE: s.nodes, Sort.TRANSFER: s.transfers, Sort.REQUEST: s.requests}
    names = component_names(s.settings)
    for sort, table in tables.items():
        if table is not None:
            _validate_table(table, sort, names, len(s.nodes))
    _validate_tree(s.nodes)


def _validate_table(table: Table, sort: Sort, names: frozenset[str], nodes: int) -> None:
    at, rows = f".{SORT_NAME[sort]}", len(table)
    _validate_tensor(table.ids, torch.int64, rows, f"{at}.ids")
    for key, column in table.columns.items():
        where = path(sort, "columns", key)
        field = field_of(sort, key, names)
        if field is None:
            raise no_such_name(sort, key, names, where)
        _validate_column(column, field, rows, nodes, where)
    for key, lists in table.lists.items():
        where = path(sort, "lists", key)
        if not is_list(sort, key, names):
            raise no_such_name(sort, key, names, where)
        least, largest = (-LARGEST_ID - 1, LARGEST_ID) if key.name == "key" else range_of(None)
        _validate_lists(lists, rows, least, largest, where)


def path(sort: Sort, kind: str, key: Key) -> str:
    """Where in a file a column or list is, as `jq` takes it."""
    name = label(key)
    return f'.{SORT_NAME[sort]}.{kind}["{name if len(name) < _LONGEST_NAME else name[:_LONGEST_NAME] + "..."}"]'


def _validate_column(column: Column, field: Field, rows: int, nodes: int, where: str) -> None:
    dtype = torch.bool if field.sort is Sort.BOOL else torch.int64
    _validate_tensor(column.values, dtype, rows, where)
    if column.known is not None:
        _validate_tensor(column.known, torch.bool, rows, f"mask of {where}")
    if field.sort is Sort.BOOL:
        return
    if field.sort is Sort.NODE:
        _in_range(column.values, column.known, 0, nodes - 1, where, "a row of the nodes")
    else:
        _in_range(column.values, column.known, *range_of(field), where, "a number that a cache can have")


def _validate_lists(lists: Lists, rows: int, least: int, largest: int, where: str) -> None:
    _validate_tensor(lists.offsets, torch.int64, rows + 1, f"offsets of {where}")
    _validate_tensor(lists.values, torch.int64, len(lists.values), f"{where}.values")
    lengths = lists.lengths
    total = len(lists.values)
    _in_range(lengths, None, 0, total, f"{where}.lengths", "the length of a list")
    if int(lists.offsets[0]) != 0 or int(lists.offsets[-1]) != total:
        what = f"the lengths add up to {int(lists.offsets[-1])} and there are {total} values"
        raise SnapshotError(what, where, "a length for each row, and that many values")
    _in_range(lists.values, None, least, largest, f"{where}.values", "a number that a cache can have")


def _validate_tensor(x: Tensor, dtype: torch.dtype, rows: int, where: str) -> None:
    if x.dtype is not dtype or x.dim() != 1:
        raise SnapshotError(f"{x.dtype} of shape {list(x.shape)}", where, f"{dtype}, one value a row")
    if len(x) != rows:
        raise SnapshotError(f"{len(x)} values for {rows} rows", where, "one value a row")


def _in_range(x: Tensor, known: Tensor | None, least: int, largest: int, where: str, what: str) -> None:
    if not len(x):
        return
    # numpy, because torch wakes all its threads for this, and waits for them where cores are busy.
    plain = x.cpu().numpy()
    if least <= plain.min() and plain.max() <= largest:
        return
    bad = (x < least) | (x > largest)
    if known is not None:
        bad &= known
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise SnapshotError(f"{int(x[row])} is not {what}", f"{where}[{row}]", f"{least} to {largest}")


def _validate_tree(nodes: Table) -> None:
    where = path(Sort.NODE, "columns", PARENT)
    if not len(nodes):
        raise SnapshotError("there are no nodes", ".nodes.ids", "an empty tree has a root, in row 0")
    if PARENT not in nodes.columns:
        raise SnapshotError("missing", where, "the row of each node's parent; the root's is 0")
    column = nodes.columns[PARENT]
    if column.known is not None and not bool(column.known.all()):
        row = int((~column.known).nonzero()[0])
        raise SnapshotError("a parent may not be unknown", f"{where}[{row}]", "name a row; the root's is 0")
    late = column.values >= torch.arange(len(nodes), device=column.values.device).clamp(min=1)
    if bool(late.any()):
        row = int(late.nonzero()[0])
        what = f"{int(column.values[row])} is not an earlier row" if row else "row 0 has a parent"
        raise SnapshotError(what, f"{where}[{row}]", "row 0 is the root, and parents come before children")
    if bool((nodes.ids[1:] > nodes.ids[:-1]).all()):
        return
    values, order = nodes.ids.sort(stable=True)
    again = (values[1:] == values[:-1]).nonzero()
    if len(again):
        row = int(order[int(again[0]) + 1])
        raise SnapshotError(f"id {int(nodes.ids[row])} is used twice", f".nodes.ids[{row}]", "a node has its own id")
