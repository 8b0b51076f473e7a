"""How some cells must change, all others staying as they are: the values that they take, or what forbids any."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import z3

from sanitree.checker.columns import Place
from sanitree.checker.repair import expressions
from sanitree.checker.repair.algebra import Symbols
from sanitree.checker.repair.cells import Cell, Cells
from sanitree.checker.repair.clock import Clock
from sanitree.checker.repair.formulas import Formulas
from sanitree.checker.repair.parts import One
from sanitree.checker.repair.reads import instances, matters
from sanitree.checker.repair.results import Change
from sanitree.checker.symbolic import E
from sanitree.invariants.rules import Check
from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.snapshot import Key

Instance = tuple[Check, int]
"""A check at one row of its scope."""
_TRIED = 60
"""Values that are tried for an instance before z3 is asked."""


class OutOfTimeError(Exception):
    """A solver did not answer in the time that was left."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """No values do: these instances, together, forbid all."""

    by: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Open:
    """Cells that must all have other values. flags: those of truth values, which leaves one. numbers: the others."""

    sites: frozenset[Cell]
    flags: Mapping[Cell, int]
    numbers: tuple[Cell, ...]
    wrong: dict[Instance, One]
    """When instances are violated, as far as they were looked at; not those that are not."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        return (*self.flags, *self.numbers)


class How:
    """Checks on a snapshot of which a few cells change. violated: their instances that are, as it is."""

    def __init__(self, cells: Cells, violated: Mapping[Check, Collection[int]], clock: Clock) -> None:
        self.cells, self.violated, self.clock = cells, violated, clock
        self.now = tuple((check, row) for check, rows in violated.items() for row in rows)
        self._plain = Symbols(cells)
        self._possible: dict[E, bool] = {}
        self._checks: dict[tuple[Place, Key], list[Check]] = {}
        self._small = z3.SimpleSolver()

    def opened(self, sites: Collection[Cell]) -> Open:
        """Cells that are to change, with those that go with them."""
        flags: dict[Cell, int] = {}
        numbers: list[Cell] = []
        for c in (c for site in sorted(sites, key=lambda s: s.order) for c in self.cells.parts(site)):
            held = self.cells.column(c.place, c.key)
            assert held is not None
            if held.is_bool:
                flags[c] = not held.values[c.row]
            elif held.free(c.row):
                numbers.append(c)
        return Open(frozenset(sites), flags, tuple(numbers), {})

    def symbols(self, o: Open) -> Symbols:
        """The checks with these cells open."""
        rows: dict[tuple[Place, Key], set[int]] = {}
        for c in o.numbers:
            rows.setdefault((c.place, c.key), set()).add(c.row)
        return Symbols(self.cells, rows, o.flags, self._plain)

    def mends(self, o: Open, instance: Instance) -> bool:
        """Whether an instance need not be violated where these cells change."""
        (e,) = self.symbols(o).violated(instance[0], [instance[1]])
        return self._can_hold(o, e)

    def forbidding(self, o: Open) -> Iterator[Instance]:
        """Instances each of which is violated whatever the cells become; soonest those that forbade the like before."""
        symbols, changed = self.symbols(o), o.cells
        about = dict.fromkeys(check for cell in changed for check in self._about(cell))
        rows = {check: instances(check, changed, self.cells) for check in about}
        again = {(check, row) for check, at in rows.items() if self.violated[check] for row in at}
        yield from (i for i in self.now if i not in again)
        o.wrong.clear()
        for check, at in rows.items():
            for row, e in zip(at, symbols.violated(check, at), strict=True):
                if e is not False:
                    o.wrong[check, row] = e
                    if not self._can_hold(o, e):
                        self._sooner(check, changed)
                        yield check, row

    def _about(self, cell: Cell) -> list[Check]:
        """The checks to which cells of a column can matter."""
        at = cell.place, cell.key
        if at not in self._checks:
            self._checks[at] = [check for check in self.violated if matters(check, cell)]
        return self._checks[at]

    def _sooner(self, check: Check, changed: Iterable[Cell]) -> None:
        for cell in changed:
            order = self._about(cell)
            if check in order:
                order.remove(check)
                order.insert(0, check)

    # One instance.

    def _can_hold(self, o: Open, wrong: One) -> bool:
        """Whether some other values of the cells keep an instance from being violated."""
        if not isinstance(wrong, E):
            return not wrong
        if wrong not in self._possible:
            self._possible[wrong] = self._is_held_by_some(wrong) or self._z3_can_hold(o, wrong)
        return self._possible[wrong]

    def _is_held_by_some(self, wrong: E) -> bool:
        """Whether values near those that it speaks of are such: most often they are."""
        cells = list(expressions.cells(wrong))
        named = {int(e.args[0]) for e in expressions.everything([wrong]) if e.op == "const"}
        tried = []
        for c in cells:
            held = self.cells.column(c.place, c.key)
            assert held is not None
            old = held.values[c.row]
            near = sorted({old - 1, old + 1, *named, *(n + 1 for n in named), *(n - 1 for n in named)})
            tried.append([n for n in near if held.low <= n <= held.high and n != old])
        if not all(tried):
            return False
        some = (v for v, _ in zip(product(*tried), range(_TRIED), strict=False))
        return any(not expressions.evaluate(wrong, dict(zip(cells, v, strict=True))) for v in some)

    def _z3_can_hold(self, o: Open, wrong: E) -> bool:
        x = self._variables(o)
        self._small.push()
        self._small.add(*self._other(o, x), z3.Not(Formulas(x.__getitem__)(wrong)))
        try:
            return self._answer(self._small)
        finally:
            self._small.pop()

    def _answer(self, solver: Any, *assumptions: Any) -> bool:
        answer = self.clock.ask(solver, *assumptions)
        if answer == z3.unknown:
            raise OutOfTimeError
        return bool(answer == z3.sat)

    # All together.

    def _variables(self, o: Open) -> dict[Cell, Any]:
        return {c: z3.Int(f"c{i}") for i, c in enumerate(o.numbers)}

    def _other(self, o: Open, x: Mapping[Cell, Any]) -> Iterator[Any]:
        """That numbers are such as a cell can hold, and that every site changes."""
        for c, v in x.items():
            held = self.cells.column(c.place, c.key)
            assert held is not None
            yield z3.And(v >= held.low, v <= held.high)
        for site in o.sites:
            own = [c for c in self.cells.parts(site) if c in x]
            if own:
                yield z3.Or(*(x[c] != self.cells.value(c) for c in own))

    def values(self, o: Open) -> tuple[Change, ...] | Forbidden:
        """What the cells become, after no instance alone forbids it. Raises OutOfTimeError."""
        wrong = {i: e for i, e in o.wrong.items() if isinstance(e, E)}
        x = self._variables(o)
        formula, solver = Formulas(x.__getitem__), z3.Solver()
        marks = {z3.Bool(f"i{i}"): z3.Not(formula(e)) for i, e in enumerate(wrong.values())}
        ranges = list(self._other(o, x))
        solver.add(*ranges, *(z3.Implies(mark, e) for mark, e in marks.items()))
        if not self._answer(solver, *marks):
            names = [str(mark) for mark in solver.unsat_core()]
            asked = list(wrong)
            return Forbidden(tuple(asked[int(n[1:])] for n in names))
        solver.add(*marks)
        model = self._nearest(x, [*ranges, *marks.values()]) or self._model(solver)
        numbers = {c: int(model.eval(v, model_completion=True).as_long()) for c, v in x.items()}
        flags = [Change(c, self.cells.element(c), int(not n), int(n), forced=True) for c, n in o.flags.items()]
        others = [
            Change(c, self.cells.element(c), self.cells.value(c), n, self._forced(solver, x[c], n))
            for c, n in numbers.items()
            if n != self.cells.value(c) and self._matters(c, numbers)
        ]
        return tuple(sorted([*flags, *others], key=lambda c: c.cell.order))

    def _model(self, solver: Any) -> Any:
        self._answer(solver)
        return solver.model()

    def _nearest(self, x: Mapping[Cell, Any], conditions: Sequence[Any]) -> Any:
        """A model whose numbers are as near to what they were as can be."""
        if not x:
            return None
        optimizer = z3.Optimize()
        optimizer.add(*conditions)
        far = [z3.Abs(v - self.cells.value(c)) for c, v in x.items() if is_counted(c)]
        optimizer.minimize(z3.Sum([z3.IntVal(0), *far]))
        return optimizer.model() if self.clock.ask(optimizer) == z3.sat else None

    def _matters(self, cell: Cell, values: Mapping[Cell, int]) -> bool:
        """Not who names a slot that nobody names."""
        return cell.site == cell or values.get(cell.site, self.cells.value(cell.site)) > 0

    def _forced(self, solver: Any, x: Any, value: int) -> bool:
        solver.push()
        solver.add(x != value)
        answer = self.clock.ask(solver)
        solver.pop()
        return bool(answer == z3.unsat)


def is_counted(cell: Cell) -> bool:
    """Whether a cell's number says how many: that of a row, an acknowledgement or a hash does not."""
    field = FIELDS.get((cell.place[0], cell.key.name))
    return field is not None and field.sort is Sort.INT and field.unit not in ("hash", "ack id")


def names(found: Iterable[Instance]) -> tuple[str, ...]:
    """The checks that instances are of."""
    return tuple(dict.fromkeys(check.name for check, _ in found))
