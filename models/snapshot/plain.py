"""Columns and lists from plain Python values that nobody has checked yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot.errors import SnapshotError, shown
from sanitree.models.snapshot.table import Column, Lists

Where = Callable[[int], str]


def column_of(values: Sequence[object], sort: Sort, where: Where) -> Column:
    """A column of truth values, or of whole numbers; None is unknown.

    where: says where the value of a row stands. Raises SnapshotError for other values.
    """
    known: Tensor | None = None
    kinds = set(map(type, values))
    if type(None) in kinds:
        known = torch.from_numpy(np.fromiter((v is not None for v in values), bool, len(values)))
        values = [0 if v is None else v for v in values] if sort is not Sort.BOOL else [v or False for v in values]
        kinds = set(map(type, values))
    if sort is Sort.BOOL:
        return Column(_truths(values, kinds, where), known)
    return Column(numbers_of(values, where, kinds), known)


def numbers_of(values: Sequence[object], where: Where, kinds: set[type] | None = None) -> Tensor:
    """An int64 tensor of whole numbers. Raises SnapshotError for anything else."""
    if not (kinds if kinds is not None else set(map(type, values))) <= {int}:
        values = [_whole(v, i, where) for i, v in enumerate(values)]
    try:
        return torch.from_numpy(np.array(values, dtype=np.int64))
    except OverflowError:
        row = next(i for i, v in enumerate(values) if isinstance(v, int) and not -(2**63) <= v < 2**63)
        raise SnapshotError(f"{shown(values[row])} is out of range", where(row), "numbers have 64 bits") from None


def lists_of(lengths: Tensor, values: Tensor) -> Lists:
    """Lists from their lengths, which must be in 0 … len(values), and all values in a row."""
    zero = torch.zeros(1, dtype=torch.int64)
    return Lists(torch.cat([zero, lengths.cumsum(0)]), values)


def _truths(values: Sequence[object], kinds: set[type], where: Where) -> Tensor:
    for kind in kinds - {bool, np.bool_}:
        row = next(i for i, v in enumerate(values) if type(v) is kind)
        raise SnapshotError(f"{shown(values[row])} is no truth value", where(row), "true, false, or null if unknown")
    return torch.from_numpy(np.array(values, dtype=bool))


def _whole(value: object, row: int, where: Where) -> int:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    raise SnapshotError(f"{shown(value)} is no whole number of 64 bits", where(row), "write one, or null if unknown")
