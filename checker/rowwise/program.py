"""Generated functions over columns as lists, and what must be true of a state that one may run on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sanitree.checker.columns import Place, State, table_of
from sanitree.invariants.terms import Moment
from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.snapshot import Key, Table

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
    """A table that a program reads, and what it was told about each of its columns: its guards."""

    moment: Moment
    place: Place
    columns: tuple[tuple[Key, Kind], ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A generated function; `run` takes each input's length and its columns, with masks where there are."""

    inputs: tuple[Input, ...]
    source: str
    run: Callable[..., Any]

    def on(self, seen: Seen) -> Any:
        """What the function returns; `_Other` where a guard does not hold."""
        arguments: list[Any] = []
        for i in self.inputs:
            table = seen.table(i.moment, i.place)
            if table is None:
                if any(kind is not Kind.NO_TABLE for _, kind in i.columns):
                    return _Other
                arguments.append(0)
                continue
            arguments.append(len(table))
            columns = table.columns
            for key, kind in i.columns:
                try:
                    column = columns[key]
                except KeyError:
                    if kind is not Kind.ABSENT:
                        return _Other
                    continue
                if column.mask is None:
                    if kind is not Kind.KNOWN:
                        return _Other
                    arguments.append(column.listed)
                elif kind_of(table, key) is not kind:
                    return _Other
                else:
                    arguments.append(_masked(i.place, key, table) if kind is Kind.MASKED else column.listed)
        return self.run(*arguments)


class _Other:
    """A guard does not hold."""


def kind_of(table: Table | None, key: Key) -> Kind:
    """What is known of a column of a table."""
    if table is None:
        return Kind.NO_TABLE
    column = table.columns.get(key)
    if column is None:
        return Kind.ABSENT
    mask = column.mask
    if mask is None:
        return Kind.KNOWN
    exists = table.columns.get(EXISTS)
    return Kind.THERE if exists is not None and exists.listed is mask else Kind.MASKED


def _masked(place: Place, key: Key, table: Table | None) -> tuple[Sequence[int], Sequence[bool]]:
    assert table is not None
    column = table.columns[key]
    values, known = column.listed, column.mask
    assert known is not None
    f = FIELDS.get((place[0], key.name))
    if f is not None and f.sort is Sort.NODE:
        values = [v if k else 0 for v, k in zip(values, known, strict=True)]  # what is unknown may be no row at all
    return values, known


class Programs:
    """Programs for the same work, made as states of other shapes are met; most caches need one or two."""

    def __init__(self, write: Callable[[Seen], Program]) -> None:
        self._write = write
        self._made: list[Program] = []

    @property
    def made(self) -> int:
        """How many there are by now."""
        return len(self._made)

    def on(self, seen: Seen) -> Any:
        """What the work comes to for a state."""
        for at, p in enumerate(self._made):
            result = p.on(seen)
            if result is not _Other:
                if at:
                    self._made.insert(0, self._made.pop(at))  # the next state is likely of the same shape
                return result
        program = self._write(seen)
        self._made.insert(0, program)
        result = program.on(seen)
        assert result is not _Other
        return result
