"""Generated functions over columns as lists, and what must be true of a state that one may run on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch

from sanitree.checker.columns import Place, State, table_of
from sanitree.invariants.terms import Moment
from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.snapshot import Column, Key, Table

TOLD: Place = (Sort.CALL, None, None)
EXISTS = Key("exists")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a program runs on: one state, or the two of a step and what its call told."""

    after: State
    before: State | None = None
    told: Table | None = None

    def table(self, moment: Moment, place: Place) -> Table | None:
        if place == TOLD:
            return self.told
        state = self.after if moment is Moment.AFTER else self.before
        return None if state is None else table_of(state, place)


class Kind(Enum):
    """What is known of a column before a row is read."""

    NO_TABLE = "no table"
    ABSENT = "absent"
    KNOWN = "known everywhere"
    THERE = "known where its element is there"
    MASKED = "known here and there"


@dataclass(frozen=True, slots=True)
class Input:
    """A column that a program asked about, and what it was told: its guard."""

    moment: Moment
    place: Place
    key: Key
    kind: Kind


@dataclass(frozen=True, slots=True)
class Program:
    """A generated function; `run` takes the values of each input, their masks, and the lengths of tables."""

    inputs: tuple[Input, ...]
    lengths: tuple[tuple[Moment, Place], ...]
    source: str
    run: Callable[..., Any]

    def on(self, seen: Seen) -> Any:
        """What the function returns; `_Other` where a guard does not hold."""
        values = []
        for i in self.inputs:
            table = seen.table(i.moment, i.place)
            kind, column = kind_of(table, i.key)
            if kind is not i.kind:
                return _Other
            if column is not None:
                f = FIELDS.get((i.place[0], i.key.name))
                values.append(_listed(column, f is not None and f.sort is Sort.NODE))
        counts = [0 if (t := seen.table(*at)) is None else len(t) for at in self.lengths]
        return self.run(*values, *counts)


class _Other:
    """A guard does not hold."""


def kind_of(table: Table | None, key: Key) -> tuple[Kind, Column | None]:
    if table is None:
        return Kind.NO_TABLE, None
    column = table.columns.get(key)
    if column is None:
        return Kind.ABSENT, None
    if column.known is None:
        return Kind.KNOWN, column
    exists = table.columns.get(EXISTS)
    return (Kind.THERE if exists is not None and exists.values is column.known else Kind.MASKED), column


def _listed(column: Column, refers: bool) -> Any:
    values, known = column.values, column.known
    if known is None:
        return values.tolist()
    if refers:
        values = torch.where(known, values, 0)  # what is unknown may be no row at all
    return values.tolist(), known.tolist()


class Programs:
    """Programs for the same work, made as states of other shapes are met; most caches need one or two."""

    def __init__(self, write: Callable[[Seen], Program]) -> None:
        self._write = write
        self._made: list[Program] = []

    def on(self, seen: Seen) -> Any:
        """What the work comes to for a state."""
        for p in self._made:
            result = p.on(seen)
            if result is not _Other:
                return result
        program = self._write(seen)
        self._made.insert(0, program)
        result = program.on(seen)
        assert result is not _Other
        return result
