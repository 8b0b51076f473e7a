"""Hypothesis strategies for what more than one test draws."""

from __future__ import annotations

import string

import torch
from hypothesis import strategies as st

from sanitree.invariants.vocabulary import (
    COMPONENTS,
    FIELDS,
    FULL,
    TRAITS,
    Component,
    Field,
    Index,
    Policy,
    Settings,
    Sort,
    Tier,
)
from sanitree.models.snapshot import Column, Key, Lists, Origin, Snapshot, Table
from sanitree.models.snapshot.schema import LARGEST_ID, LISTS, component_names, range_of

_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12)
_CUSTOM = st.builds(
    Component,
    name=st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=8)
    .map(lambda x: "x" + x)
    .filter(lambda x: x not in COMPONENTS),
    backbone=st.just(False),
    per_token=st.booleans(),
)


def settings() -> st.SearchStrategy[Settings]:
    """Any settings that a snapshot may have, now and then with components of one's own."""
    known = st.lists(st.sampled_from([c for c in COMPONENTS.values() if c is not FULL]), unique=True)
    custom = st.lists(_CUSTOM, max_size=1)
    return st.builds(
        Settings,
        policy=st.sampled_from(Policy),
        components=st.tuples(known, custom).map(lambda x: (FULL, *x[0], *x[1])),
        traits=st.frozensets(st.sampled_from(sorted(TRAITS))),
        page_size=st.integers(1, 64),
    )


@st.composite
def snapshots(draw: st.DrawFn, most_nodes: int = 8, tokens: str = "raw") -> Snapshot:
    """Any snapshot that can be written: random trees, columns, masks, lists; hardly ever a legal cache."""
    about = draw(settings())
    rows = draw(st.integers(1, most_nodes))
    ids = draw(st.lists(_ids(), min_size=rows, max_size=rows, unique=True))
    parent = [0, *(draw(st.integers(0, row - 1)) for row in range(1, rows))]
    nodes = draw(_tables(Sort.NODE, about, rows, ids, rows))
    columns = {**nodes.columns, Key("parent"): Column(torch.tensor(parent))}

    def some(sort: Sort) -> Table | None:
        return draw(st.none() | st.integers(0, 3).flatmap(lambda n: _tables(sort, about, n, None, rows)))

    return Snapshot(
        Origin(*(draw(_TEXTS) for _ in range(4))),
        about,
        draw(_tables(Sort.TREE, about, 1, None, rows)),
        Table(nodes.ids, columns, nodes.lists),
        some(Sort.TRANSFER),
        some(Sort.REQUEST),
        tokens,
    )


def _ids() -> st.SearchStrategy[int]:
    return st.integers(0, 99) | st.integers(-LARGEST_ID - 1, LARGEST_ID)


def _keys(name: str, index: Index, about: Settings) -> list[Key]:
    if index is Index.NONE:
        return [Key(name)]
    names = sorted(component_names(about))
    return [Key(name, c, t) for c in names for t in ([x.value for x in Tier] if index is Index.COPY else [None])]


@st.composite
def _tables(draw: st.DrawFn, sort: Sort, about: Settings, rows: int, ids: list[int] | None, nodes: int) -> Table:
    fields = {k: f for (owner, name), f in FIELDS.items() if owner is sort for k in _keys(name, f.index, about)}
    fields.pop(Key("parent"), None)
    names = [k for (owner, name), index in LISTS.items() if owner is sort for k in _keys(name, index, about)]
    columns = draw(st.lists(st.sampled_from(list(fields)), unique=True, max_size=10))
    lists = draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
    if ids is None:
        ids = draw(st.lists(_ids(), min_size=rows, max_size=rows))
    return Table(
        torch.tensor(ids, dtype=torch.int64),
        {k: draw(_columns(fields[k], rows, nodes)) for k in columns},
        {k: draw(_lists(k, rows)) for k in lists},
    )


@st.composite
def _columns(draw: st.DrawFn, field: Field, rows: int, nodes: int) -> Column:
    value: st.SearchStrategy[bool | int]
    dtype = torch.int64
    if field.sort is Sort.BOOL:
        value, dtype = st.booleans(), torch.bool
    elif field.sort is Sort.NODE:
        value = st.integers(0, nodes - 1)
    else:
        value = st.integers(-2, 8) | st.integers(*range_of(field))
    masked = draw(st.booleans())
    values = draw(st.lists(value, min_size=rows, max_size=rows))
    known = draw(st.lists(st.booleans(), min_size=rows, max_size=rows)) if masked else None
    return Column(torch.tensor(values, dtype=dtype), None if known is None else torch.tensor(known, dtype=torch.bool))


def _lists(key: Key, rows: int) -> st.SearchStrategy[Lists]:
    span = (-LARGEST_ID - 1, LARGEST_ID) if key.name == "key" else range_of(None)
    number = st.integers(0, 9) | st.integers(*span)
    return st.lists(st.lists(number, max_size=4), min_size=rows, max_size=rows).map(Lists.of)
