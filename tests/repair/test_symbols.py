"""Checks over symbols are violated exactly where columns find them violated, whatever values the symbols take."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import Random
from typing import Any

import pytest
import z3

from sanitree.checker.columns import Evaluator, Place
from sanitree.checker.repair.algebra import Symbols
from sanitree.checker.repair.cells import IN_FLIGHT, Cell, Cells
from sanitree.checker.repair.formulas import Formulas
from sanitree.checker.repair.pools import WHO
from sanitree.checker.repair.reads import place_of
from sanitree.checker.symbolic import E
from sanitree.invariants.rules import Check
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Key, Snapshot
from tests.corrupt import corrupt, veil
from tests.legal import checks_of, legal
from tests.planted.faults import FAULTS
from tests.planted.plant import planted
from tests.planted.tools import Fault
from tests.repair.corruption import changes, columns

Open = Mapping[tuple[Place, Key], Collection[int]] | None


class Values:
    """Formulas over cells, and what they come to where cells have values."""

    def __init__(self, cells: Cells, changed: Mapping[Cell, int]) -> None:
        self.cells, self.changed = cells, changed
        self.variables: dict[Cell, Any] = {}
        self.formula = Formulas(self.variable)

    def variable(self, cell: Cell) -> Any:
        held = self.cells.column(cell.place, cell.key)
        assert held is not None
        made = z3.Bool if held.is_bool else z3.Int
        return self.variables.setdefault(cell, made(f"c{len(self.variables)}"))

    def of(self, found: Mapping[Any, Any]) -> dict[Any, bool]:
        formulas = {at: self.formula(e) if isinstance(e, E) else e for at, e in found.items()}
        solver = z3.Solver()
        for cell, x in self.variables.items():
            value = self.changed.get(cell, self.cells.value(cell))
            solver.add(x == bool(value) if z3.is_bool(x) else x == value)
        assert solver.check() == z3.sat
        model = solver.model()
        return {
            at: f if isinstance(f, bool) else z3.is_true(model.eval(f, model_completion=True))
            for at, f in formulas.items()
        }


def elements(cells: Cells, check: Check, changed: Mapping[Cell, int]) -> list[int]:
    """What the instances of a check are about: rows, or numbers of slots; a transfer that is over is none."""
    place = place_of(check)
    if place[0] is Sort.SLOT:
        return cells.pool(place).numbers
    left = iter(range(cells.rows(place) or 0))
    return [
        -1 if changed.get(Cell(place, row, IN_FLIGHT), True) is False else next(left)
        for row in range(cells.rows(place) or 0)
    ]


def agree(s: Snapshot, rng: Random, sites: int, whole: bool) -> int:
    """Demands that both say the same of the snapshot with cells changed; how many instances are violated."""
    cells = Cells(s, spare=4)
    changed = changes(cells, rng, sites, columns(cells, over=True))
    after = cells.after(changed)
    symbols: dict[tuple[Place, Key], Collection[int]] = {}
    for cell in changed:
        symbols[cell.place, cell.key] = {*symbols.get((cell.place, cell.key), ()), cell.row}
    judge, values = Evaluator(after), Values(cells, changed)
    if whole:
        symbols = {
            at: range(cells.rows(at[0]) or 0) for place, key in columns(cells, over=True) for at in parts(place, key)
        }
    symbolic = Symbols(cells, symbols, whole=Symbols(cells))
    total = 0
    for check in checks_of(s.settings):
        found = values.of(dict(enumerate(symbolic.violated(check))))
        ids_of = elements(cells, check, changed)
        told = {ids_of[row] for row, wrong in found.items() if wrong}
        rows = judge.judge(check).violated
        ids = judge.table(check).ids.tolist() if rows and check.rule.scope is Sort.SLOT else None
        assert told == {row if ids is None else ids[row] for row in rows}, check.name
        total += len(told)
    return total


def parts(place: Place, key: Key) -> list[tuple[Place, Key]]:
    """A column, and those that are changed with it."""
    who = WHO.get(key.name) if place[0] is Sort.SLOT else None
    return [(place, key)] if who is None else [(place, key), (place, Key(who))]


def state(seed: int, rng: Random) -> Snapshot:
    d = corrupt(legal(seed % 60), rng, rng.choice((0, 0, 1, 4)))
    return (veil(d, rng) if seed % 3 == 0 else d).snapshot()


@pytest.mark.parametrize("seed", range(24))
def test_random_states_are_judged_as_on_columns(seed: int) -> None:
    rng = Random(seed)
    agree(state(seed, rng), rng, rng.choice((1, 2, 5, 12)), whole=seed % 2 == 0)


@pytest.mark.slow
def test_thousands_of_them() -> None:
    violated = 0
    for seed in range(100, 1600):
        rng = Random(seed)
        violated += agree(state(seed, rng), rng, rng.choice((1, 2, 5, 12, 40)), whole=seed % 2 == 0)
    assert violated > 1000


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_a_planted_fault_of_every_check_is_seen(fault: Fault) -> None:
    p = next(planted(fault, range(288)))
    s = p.draft.snapshot()
    cells = Cells(s, spare=4)
    rows = Evaluator(s).judge(p.check).violated
    found = Values(cells, {}).of(dict(enumerate(Symbols(cells).violated(p.check))))
    assert {row for row, wrong in found.items() if wrong} == set(rows)
