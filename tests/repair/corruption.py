"""Cells of a snapshot set to other values at random, and how many those are."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from sanitree.checker.columns import Place
from sanitree.checker.repair.cells import IN_FLIGHT, NODES, REQUESTS, TRANSFERS, TREE, Cell, Cells
from sanitree.checker.repair.pools import NAMED
from sanitree.checker.repair.results import Repair
from sanitree.invariants.vocabulary import Sort, Tier
from sanitree.models.snapshot import Key


def columns(cells: Cells, over: bool = False) -> list[tuple[Place, Key]]:
    """Every column with a cell that may change; with `over` also whether a transfer is in flight."""
    s = cells.snapshot
    tables = {TREE: s.tree, NODES: s.nodes, TRANSFERS: s.transfers, REQUESTS: s.requests}
    found = [(place, key) for place, t in tables.items() if t is not None for key in sorted(t.columns, key=str)]
    found += [(TRANSFERS, IN_FLIGHT)] if over and s.transfers is not None else []
    pools = [(Sort.SLOT, c, t) for c in s.settings.components for t in Tier]
    found += [(place, Key(name)) for place in pools for name in NAMED]
    return [at for at in found if _open(cells, *at)]


def _open(cells: Cells, place: Place, key: Key) -> list[int]:
    held = cells.column(place, key)
    return [] if held is None else [row for row in range(len(held.values)) if held.free(row)]


def changes(cells: Cells, rng: Random, sites: int, among: list[tuple[Place, Key]] | None = None) -> dict[Cell, int]:
    """So many sites with a value that they do not have: something near, or what another row has."""
    where = among or columns(cells)
    found: dict[Cell, int] = {}
    while len({c.site for c in found}) < sites:
        place, key = rng.choice(where)
        site = Cell(place, rng.choice(_open(cells, place, key)), key)
        if site in found:
            continue
        found[site] = _other(cells, site, rng)
        for part in cells.parts(site)[1:]:
            held = cells.column(part.place, part.key)
            assert held is not None
            if held.free(part.row) and found[site]:
                found[part] = rng.randint(held.low, held.high)
    return found


def _other(cells: Cells, cell: Cell, rng: Random) -> int:
    held = cells.column(cell.place, cell.key)
    assert held is not None
    old = held.values[cell.row]
    if held.is_bool:
        return not old
    near = [old + 1, old - 1, 0, -1, rng.choice(held.values), rng.randint(held.low, min(held.high, held.low + 9))]
    return rng.choice([n for n in near if n != old and held.low <= n <= held.high])


Named = tuple[Place, int | None, Key]
"""A field as a person would name it: rows of slots shift where one is named no more."""


def sites_of(changed: Iterable[Cell], cells: Cells) -> set[Named]:
    """The fields that are changed."""
    return {(c.place, cells.element(c), c.site.key) for c in changed}


def sites_in(r: Repair) -> set[Named]:
    """The fields that a repair changes."""
    return {(c.cell.place, c.element, c.cell.site.key) for c in r.changes}
