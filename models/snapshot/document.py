"""A snapshot as a JSON document, and back. docs/snapshot-format.md says what it looks like."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, fields
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from sanitree.invariants.vocabulary import FIELDS, Settings, Sort
from sanitree.models.snapshot.errors import SnapshotError, shown
from sanitree.models.snapshot.plain import column_of, lists_of, numbers_of
from sanitree.models.snapshot.schema import (
    TABLES,
    component_names,
    components_elsewhere,
    field_of,
    is_list,
    key_of,
    label,
    no_such_name,
    origin_of,
    plain_settings,
    settings_of,
)
from sanitree.models.snapshot.table import Column, Key, Lists, Origin, Snapshot, Table
from sanitree.models.snapshot.valid import path, validate

FORMAT: Final = "sanitree-snapshot"
# VERSION changes when older readers must not guess, MINOR when they may leave out what they do not know.
VERSION: Final = 1
MINOR: Final = 0

_TOP = ("format", "version", "minor", "origin", "settings", "tokens", *TABLES)
_OLD = "update sanitree"


def to_document(s: Snapshot) -> dict[str, Any]:
    """Plain data and numpy arrays, as orjson writes them. `s` must be valid."""
    tables = {"tree": s.tree, "nodes": s.nodes, "transfers": s.transfers, "requests": s.requests}
    return {
        "format": FORMAT,
        "version": VERSION,
        "minor": MINOR,
        "origin": asdict(s.origin),
        "settings": plain_settings(s.settings),
        "tokens": s.tokens,
        **{name: None if t is None else _plain_table(t) for name, t in tables.items()},
    }


def _plain_table(t: Table) -> dict[str, Any]:
    return {
        "ids": _array(t.ids),
        "columns": {label(k): _plain_column(c) for k, c in t.columns.items()},
        "lists": {label(k): {"lengths": _array(x.lengths), "values": _array(x.values)} for k, x in t.lists.items()},
    }


def _plain_column(c: Column) -> Any:
    if c.known is None or bool(c.known.all()):
        return _array(c.values)
    # A hidden value is nobody's business: it may be a token.
    pairs = zip(c.values.tolist(), c.known.tolist(), strict=True)
    return [value if known else None for value, known in pairs]


def _array(x: Tensor) -> Any:
    return np.ascontiguousarray(x.cpu().numpy())


class _Reader:
    """Reads one document. `keys` counts the keys of all objects seen, to find keys written twice."""

    def __init__(self) -> None:
        self.keys = 0
        self.newer = False
        self.notes: list[str] = []
        self.components: Collection[str] = ()
        self.elsewhere: frozenset[str] = frozenset()

    def snapshot(self, document: object) -> Snapshot:
        top = self._head(document)
        origin = self._part(top["origin"], ".origin", [f.name for f in fields(Origin)])
        settings = self._settings(top["settings"])
        self.components, self.elsewhere = component_names(settings), components_elsewhere(settings)
        tokens = top["tokens"]
        if not isinstance(tokens, str):
            raise SnapshotError(f"text is wanted, not {shown(tokens)}", ".tokens", 'write "hashed" or "raw"')
        tables = {name: self._table(top[name], sort) for name, sort in TABLES.items()}
        for name in ("tree", "nodes"):
            if tables[name] is None:
                raise SnapshotError("null", f".{name}", "only transfers and requests can be unobserved")
        return Snapshot(origin_of(origin, ".origin"), settings, tokens=tokens, notes=tuple(self.notes), **tables)  # type: ignore[arg-type]

    def _head(self, document: object) -> dict[str, Any]:
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise SnapshotError("not a sanitree snapshot", "", f'such a file begins {{"format": "{FORMAT}"')
        version, minor = document.get("version"), document.get("minor")
        if type(version) is not int or version != VERSION:
            hint = _OLD if isinstance(version, int) and version > VERSION else f"this sanitree reads version {VERSION}"
            raise SnapshotError(f"unknown version {shown(version)}", ".version", hint)
        if type(minor) is not int or minor < 0:
            raise SnapshotError(f"{shown(minor)} is no minor version", ".minor", "write a number from 0")
        self.newer = minor > MINOR
        return self._part(document, "", _TOP)

    def _part(self, value: object, where: str, names: Collection[str]) -> dict[str, Any]:
        """The object at a place, with these keys; others only where a newer version may have written them."""
        if not isinstance(value, dict):
            raise SnapshotError(f"an object is wanted, not {shown(value)}", where, f"with {', '.join(names)}")
        self.keys += len(value)
        for name in names:
            if name not in value:
                raise SnapshotError("missing", f"{where}.{name}", "the file is incomplete: write it again")
        for name in value.keys() - set(names):
            error = SnapshotError(f"unknown key {shown(name)}", where or ".", _OLD)
            self._unknown(value[name], f"{where}.{name}", error)
        return {name: value[name] for name in names}

    def _unknown(self, value: object, where: str, error: SnapshotError, whose: str = "") -> None:
        whose = "a newer version wrote it" if self.newer else whose
        if not whose:
            raise error
        self.keys += _count_keys(value)
        self.notes.append(f"{shown(where)[1:-1]} was left out: {whose}")

    def _whose(self, sort: Sort, key: Key) -> str:
        """Why a column's name may be unknown here, and be no misspelling."""
        if key.component not in self.elsewhere or (sort, key.name) in FIELDS:
            return ""
        return f"no plug-in of component {key.component} is installed"

    def _settings(self, value: object) -> Settings:
        plain = self._part(value, ".settings", ("policy", "page_size", "components", "traits"))
        self.keys += _count_keys(plain["components"])
        return settings_of(plain, ".settings")

    def _table(self, value: object, sort: Sort) -> Table | None:
        if value is None:
            return None
        name = next(n for n, s in TABLES.items() if s is sort)
        plain = self._part(value, f".{name}", ("ids", "columns", "lists"))
        ids = _numbers(plain["ids"], f".{name}.ids")
        columns: dict[Key, Column] = {}
        for key, x in self._named(plain["columns"], f".{name}.columns"):
            where, field = path(sort, "columns", key), field_of(sort, key, self.components)
            if field is None:
                self._unknown(x, where, no_such_name(sort, key, self.components, where), self._whose(sort, key))
                continue
            columns[key] = column_of(_sequence(x, where), field.sort, lambda i, at=where: f"{at}[{i}]")  # type: ignore[misc]
        lists: dict[Key, Lists] = {}
        for key, x in self._named(plain["lists"], f".{name}.lists"):
            where = path(sort, "lists", key)
            if not is_list(sort, key, self.components):
                self._unknown(x, where, no_such_name(sort, key, self.components, where))
                continue
            lists[key] = self._lists(x, where)
        return Table(ids, columns, lists)

    def _named(self, value: object, where: str) -> list[tuple[Key, object]]:
        if not isinstance(value, dict):
            raise SnapshotError(f"an object is wanted, not {shown(value)}", where, "by name")
        self.keys += len(value)
        return [(key_of(name), x) for name, x in value.items()]

    def _lists(self, value: object, where: str) -> Lists:
        plain = self._part(value, where, ("lengths", "values"))
        lengths, values = (_numbers(plain[x], f"{where}.{x}") for x in ("lengths", "values"))
        # Before they are added up, lest the sum overflow.
        bad = (lengths < 0) | (lengths > len(values))
        if bool(bad.any()):
            row = int(bad.nonzero()[0])
            what = f"{int(lengths[row])} is no length of a list among {len(values)} values"
            raise SnapshotError(what, f"{where}.lengths[{row}]", "a length for each row")
        return lists_of(lengths, values)


def from_document(document: object) -> tuple[Snapshot, int]:
    """The snapshot in parsed JSON, and how many keys its objects have. Raises SnapshotError."""
    reader = _Reader()
    snapshot = reader.snapshot(document)
    validate(snapshot)
    return snapshot, reader.keys


def _sequence(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise SnapshotError(f"an array is wanted, not {shown(value)}", where, "one value a row")
    return value


def _numbers(value: object, where: str) -> torch.Tensor:
    return numbers_of(_sequence(value, where), lambda i: f"{where}[{i}]")


def _count_keys(value: object) -> int:
    total, todo = 0, [value]
    while todo:
        match todo.pop():
            case dict() as x:
                total += len(x)
                todo.extend(x.values())
            case list() as x:
                todo.extend(v for v in x if isinstance(v, (dict, list)))
    return total
