"""How some cells must change, all others staying as they are: what values they take, or what forbids any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import z3

from sanitree.checker.columns import Place
from sanitree.checker.repair.algebra import Symbols
from sanitree.checker.repair.cells import Cell, Cells
from sanitree.checker.repair.clock import Clock
from sanitree.checker.repair.formulas import Formulas
from sanitree.checker.repair.reads import reads
from sanitree.checker.repair.results import Change
from sanitree.checker.repair.where import Instance
from sanitree.checker.symbolic import E
from sanitree.invariants.rules import Check
from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.snapshot import Key


@dataclass(frozen=True, slots=True)
class Forbidden:
    """No values do. alone: instances each of which forbids all; together: some that do so only together."""

    alone: tuple[Instance, ...] = ()
    together: tuple[Instance, ...] = ()


class How:
    """Checks on a snapshot of which a few cells are open. violated: their instances that are, as it is."""

    def __init__(self, cells: Cells, violated: Mapping[Check, Collection[int]], clock: Clock) -> None:
        self.cells, self.violated, self.clock = cells, violated, clock

    def values(self, sites: Iterable[Cell]) -> tuple[Change, ...] | Forbidden | None:
        """What these cells become; None where nobody knows."""
        open_ = [c for site in sorted(sites, key=str) for c in self.cells.parts(site) if self._column(c).free(c.row)]
        wrong = self._wrong(open_)
        if alone := tuple(i for i, e in wrong.items() if e is True):
            return Forbidden(alone=alone)
        return self._solved(open_, {i: e for i, e in wrong.items() if isinstance(e, E)})

    def _column(self, cell: Cell) -> Any:
        return self.cells.column(cell.place, cell.key)

    def _wrong(self, open_: Sequence[Cell]) -> dict[Instance, bool | E]:
        """For each instance that depends on the cells, or is violated without them, when it is violated."""
        rows: dict[tuple[Place, Key], set[int]] = defaultdict(set)
        for c in open_:
            rows[c.place, c.key].add(c.row)
        symbols = Symbols(self.cells, rows)
        tables = {place for place, _ in rows}
        found: dict[Instance, bool | E] = {}
        for check, already in self.violated.items():
            columns, places = reads(check)
            if columns.isdisjoint(rows) and places.isdisjoint(tables):
                found |= {(check, row): True for row in already}
                continue
            for row, e in enumerate(symbols.violated(check)):
                if e is not False:
                    found[check, row] = e  # type: ignore[assignment]  # a truth value is no number
        return found

    def _solved(self, open_: Sequence[Cell], wrong: Mapping[Instance, E]) -> tuple[Change, ...] | Forbidden | None:
        x = {c: z3.Bool(f"c{i}") if self._column(c).is_bool else z3.Int(f"c{i}") for i, c in enumerate(open_)}
        formula = Formulas(x.__getitem__)
        solver = z3.Solver()
        told = {z3.Bool(f"i{i}"): z3.Not(formula(e)) for i, e in enumerate(wrong.values())}
        ranges = [z3.And(v >= self._column(c).low, v <= self._column(c).high)
                  for c, v in x.items() if not self._column(c).is_bool]  # fmt: skip
        solver.add(*ranges, *(z3.Implies(mark, e) for mark, e in told.items()))
        answer = self.clock.ask(solver, *told)
        if answer == z3.unsat:
            names = [str(mark) for mark in solver.unsat_core()]
            instances = list(wrong)
            return Forbidden(together=tuple(instances[int(n[1:])] for n in names))
        if answer == z3.unknown:
            return None
        solver.add(*told)
        model = self._nearest(x, [*ranges, *told.values()]) or self._model(solver)
        if model is None:
            return None
        values = {c: _number(model.eval(v, model_completion=True)) for c, v in x.items()}
        return tuple(
            Change(c, self.cells.element(c), int(self.cells.value(c)), n, self._forced(solver, x[c], n))
            for c, n in values.items() if n != self.cells.value(c) and self._matters(c, values)
        )  # fmt: skip

    def _model(self, solver: Any) -> Any:
        return solver.model() if self.clock.ask(solver) == z3.sat else None

    def _nearest(self, x: Mapping[Cell, Any], conditions: Sequence[Any]) -> Any:
        """A model whose numbers are as near to what they were as can be."""
        optimizer = z3.Optimize()
        optimizer.add(*conditions)
        far = [z3.Abs(v - self.cells.value(c)) for c, v in x.items() if is_counted(c)]
        optimizer.minimize(z3.Sum([z3.IntVal(0), *far]))
        return optimizer.model() if self.clock.ask(optimizer) == z3.sat else None

    def _matters(self, cell: Cell, values: Mapping[Cell, int]) -> bool:
        """Not who names a slot that nobody names."""
        return cell.site == cell or values.get(cell.site, self.cells.value(cell.site)) > 0

    def _forced(self, solver: Any, x: Any, value: int) -> bool:
        if z3.is_bool(x):
            return True
        solver.push()
        solver.add(x != value)
        answer = self.clock.ask(solver)
        solver.pop()
        return bool(answer == z3.unsat)


def is_counted(cell: Cell) -> bool:
    """Whether a cell's number says how many: that of a row, an acknowledgement or a hash does not."""
    field = FIELDS.get((cell.place[0], cell.key.name))
    return field is not None and field.sort is Sort.INT and field.unit not in ("hash", "ack id")


def _number(found: Any) -> int:
    return int(z3.is_true(found)) if z3.is_bool(found) else int(found.as_long())
