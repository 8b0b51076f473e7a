"""Expressions of a model of a given size as z3's: truth values for flags, bit vectors for numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import z3

from sanitree.checker.explore.transitions import Cell
from sanitree.checker.prove.connectives import applied, built
from sanitree.checker.symbolic import E
from sanitree.models.protocol.system import System


class Words:
    """The expressions of a model over one state. cells: what a cell is where it is not the state's own variable."""

    def __init__(self, system: System, cells: Mapping[Cell, Any] | None = None) -> None:
        self.system = system
        most = max((v.top for v in system.variables), default=1)
        # Sums reach from -most to most times all nodes: one bit for the sign, two to spare for sums of sums.
        self.width = (4 * most * (system.nodes + 1)).bit_length() + 2
        self.flag = [v.top == 1 for v in system.variables]
        self._cells: dict[Cell, Any] = dict(cells or {})
        self._done: dict[E, Any] = {}

    def cell(self, at: Cell) -> Any:
        """A cell as z3 has it."""
        if at not in self._cells:
            name = f"{self.system.variables[at[0]].key}@{at[1]}"
            self._cells[at] = z3.Bool(name) if self.flag[at[0]] else z3.BitVec(name, self.width)
        return self._cells[at]

    def number(self, n: int) -> Any:
        """A literal."""
        return z3.BitVecVal(n, self.width)

    def __call__(self, e: E) -> Any:
        """A condition as a truth value, a number as a bit vector."""
        return built(e, self._done, self._made)

    def flagged(self, e: E) -> Any:
        """A number that a flag takes, as a truth value; None where it may be neither 0 nor 1."""
        if e.op == "const":
            return z3.BoolVal(bool(e.args[0])) if e.args[0] in (0, 1) else None
        if e.op == "bits":
            return self.cell(e.args) if self.flag[e.args[0]] else None
        if e.op == "if":
            then, otherwise = self.flagged(e.args[1]), self.flagged(e.args[2])
            return None if then is None or otherwise is None else z3.If(self(e.args[0]), then, otherwise)
        return None

    def _made(self, e: E) -> Any:
        if e.op == "const":
            value = e.args[0]
            return z3.BoolVal(value) if isinstance(value, bool) else self.number(value)
        if e.op == "bits":
            at = self.cell(e.args)
            return z3.If(at, self.number(1), self.number(0)) if self.flag[e.args[0]] else at
        if e.op in ("<", "<=", "=") and (flag := self._of_a_flag(e)) is not None:
            return flag
        return applied(e.op, [self._done[x] for x in e.args])

    def _of_a_flag(self, e: E) -> Any | None:
        """A comparison of a flag with 0 or 1, which is the flag or its negation."""
        for x, y, turned in ((*e.args, False), (e.args[1], e.args[0], True)):
            if x.op == "const" and y.op == "bits" and self.flag[y.args[0]]:
                n, at = int(x.args[0]), self.cell(y.args)
                kept = [v for v in (0, 1) if _holds(e.op, v, n) if turned] + [
                    v for v in (0, 1) if _holds(e.op, n, v) if not turned
                ]
                return {(): z3.BoolVal(False), (0,): z3.Not(at), (1,): at, (0, 1): z3.BoolVal(True)}[tuple(kept)]
        return None


def _holds(op: str, a: int, b: int) -> bool:
    return a < b if op == "<" else a <= b if op == "<=" else a == b
