"""Expressions over cells as z3's: truth values for flags, whole numbers for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import z3

from sanitree.checker.prove.connectives import applied, built
from sanitree.checker.repair.cells import Cell
from sanitree.checker.symbolic import E


class Formulas:
    """What expressions are to z3. variable: what a cell is."""

    def __init__(self, variable: Callable[[Cell], Any]) -> None:
        self._variable = variable
        self._done: dict[E, Any] = {}

    def __call__(self, e: E) -> Any:
        """A condition as a truth value, a number as a whole number."""
        return built(e, self._done, self._made)

    def _made(self, e: E) -> Any:
        match e.op:
            case "const":
                value = e.args[0]
                return z3.BoolVal(value) if isinstance(value, bool) else z3.IntVal(value)
            case "cell":
                return self._variable(e.args[0])
        return applied(e.op, [self._done[x] for x in e.args])
