"""Where something must change: the fewest cells whose change can satisfy some instances of checks."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import z3

from sanitree.checker.columns import Place
from sanitree.checker.repair.algebra import Symbols
from sanitree.checker.repair.cells import Cell, Cells
from sanitree.checker.repair.clock import Clock
from sanitree.checker.repair.formulas import Formulas
from sanitree.checker.repair.parts import expression
from sanitree.invariants.rules import Check
from sanitree.models.snapshot import Key

Instance = tuple[Check, int]
"""A check at one row of its scope."""


class Where:
    """Instances that are to hold, over every cell that they may read."""

    def __init__(self, cells: Cells, clock: Clock) -> None:
        self.cells, self.clock = cells, clock
        self.said: dict[Instance, Any] = {}
        self.rows: dict[tuple[Place, Key], set[int]] = {}
        """Of each column, the rows whose cells are read so far."""
        self._symbols = Symbols(cells, None)
        self._formula = Formulas(self._variable)
        self._solver = z3.Solver()
        self._changed: dict[Cell, Any] = {}
        self._kept: dict[Cell, Any] = {}
        self._variables: dict[Cell, Any] = {}

    def add(self, check: Check, rows: Iterable[int]) -> None:
        """Lets instances of a check hold."""
        new = [row for row in rows if (check, row) not in self.said]
        for row, wrong in zip(new, self._symbols.violated(check, new), strict=True):
            told = self.said[check, row] = z3.Not(self._formula(expression(wrong)))
            self._solver.add(told)

    def _variable(self, cell: Cell) -> Any:
        held, site, name = self.cells.column(cell.place, cell.key), cell.site, f"c{len(self._variables)}"
        assert held is not None
        old = held.values[cell.row]
        self.rows.setdefault((cell.place, cell.key), set()).add(cell.row)
        if held.is_bool:
            x = z3.Bool(name)
            self._changed[site], self._kept[site] = (z3.Not(x), x) if old else (x, z3.Not(x))
        else:
            x = z3.Int(name)
            if site not in self._changed:
                self._changed[site] = z3.Bool(f"{name} changes")
                self._kept[site] = z3.Not(self._changed[site])
            changed = self._changed[site]
            self._solver.add(z3.Or(changed, x == old), x >= min(held.low, old), x <= max(held.high, old))
        self._variables[cell] = x
        return x

    def disjoint(self) -> int | None:
        """A number of changes below which nothing can do: how many sets of cells were found, no two of which share a
        cell, that must not all stay as they are. None where the solver did not know.
        """
        kept = dict(self._kept)
        found = 0
        while True:
            site_of = {literal.get_id(): site for site, literal in kept.items()}
            answer = self.clock.ask(self._solver, *kept.values())
            if answer == z3.sat:
                return found
            if answer == z3.unknown:
                return None
            core = self._solver.unsat_core()
            if not len(core):
                return found  # they contradict each other whatever changes
            for literal in core:
                del kept[site_of[literal.get_id()]]
            found += 1

    def fewest(self, most: int) -> frozenset[Cell] | None:
        """Cells whose change can satisfy all, at most so many; none where no so many can. None where nobody knows."""
        self._solver.push()
        if self._changed:
            self._solver.add(z3.AtMost(*self._changed.values(), most))
        answer = self.clock.ask(self._solver)
        found: frozenset[Cell] | None = frozenset() if answer == z3.unsat else None
        if answer == z3.sat:
            model = self._solver.model()
            found = frozenset(c.site for c, x in self._variables.items() if self._differs(c, model.eval(x)))
        self._solver.pop()
        return found

    def _differs(self, cell: Cell, found: Any) -> bool:
        old = self.cells.value(cell)
        if z3.is_int_value(found):
            return bool(found.as_long() != old)
        return (z3.is_true(found) and not old) or (z3.is_false(found) and bool(old))

    def possible(self) -> bool | None:
        """Whether any change at all satisfies all; None where nobody knows."""
        answer = self.clock.ask(self._solver)
        return None if answer == z3.unknown else bool(answer == z3.sat)

    def conflict(self) -> list[Check]:
        """Checks that no change reconciles."""
        solver = z3.Solver()
        for i, told in enumerate(self.said.values()):
            solver.assert_and_track(told, f"i{i}")
        if self.clock.ask(solver) != z3.unsat:
            return []
        instances = list(self.said)
        return list(dict.fromkeys(instances[int(str(name)[1:])][0] for name in solver.unsat_core()))

    def without(self, sites: Collection[Cell]) -> None:
        """Leaves out a set of cells, and every larger one."""
        self._solver.add(z3.Or([self._kept[s] for s in sites]))
