"""Caches made wrong or partly unknown at random, where no particular rule is meant."""

from __future__ import annotations

from random import Random

from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.snapshot import Key
from tests.drafts import Draft, Sheet

KEPT = {Key("parent")}  # a snapshot is a tree, whatever it shows


def sheets(d: Draft) -> list[Sheet]:
    return [x for x in (d.tree, d.nodes, d.transfers, d.requests) if x is not None]


def corrupt(d: Draft, rng: Random, times: int) -> Draft:
    """Values and slots changed at random places, to something near or to what another row has."""
    for _ in range(times):
        sheet = rng.choice([x for x in sheets(d) if len(x)])
        row = rng.randrange(len(sheet))
        if sheet.lists and rng.random() < 0.25:
            own = sheet.lists[rng.choice(sorted(sheet.lists, key=str))]
            match rng.randrange(3):
                case 0:
                    own[row] = own[row][:-1]
                case 1:
                    own[row] = own[row] + [s for x in own for s in x][:2]
                case 2:
                    own[row] = [*own[row], rng.randrange(30)]
            continue
        key = rng.choice([k for k in sorted(sheet.columns, key=str) if k not in KEPT])
        column = sheet.columns[key]
        match FIELDS[sheet.sort, key.name].sort:
            case Sort.BOOL:
                column[row] = not column[row]
            case Sort.NODE:
                column[row] = rng.randrange(len(d.nodes))
            case _:
                column[row] = rng.choice([column[row] + 1, column[row] - 1, 0, -1, rng.choice(column)])
    return d


def veil(d: Draft, rng: Random) -> Draft:
    """Rows masked, columns and lists dropped, now and then whole tables not observed."""
    for sheet in sheets(d):
        for key in sorted(sheet.columns, key=str):
            if key in KEPT:
                continue
            if rng.random() < 0.04:
                del sheet.columns[key]
            elif rng.random() < 0.12:
                sheet.known[key] = [rng.random() < 0.6 for _ in sheet.ids]
        for key in sorted(sheet.lists, key=str):
            if rng.random() < 0.04:
                del sheet.lists[key]
    if rng.random() < 0.1:
        d.transfers = None
    if rng.random() < 0.1:
        d.requests = None
    return d
